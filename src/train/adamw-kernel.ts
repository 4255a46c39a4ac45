/**
 * @file AdamW's update in WebAssembly SIMD, four elements at a time in float32, as a module that is
 * assembled here: a dozen instructions need no compiler. Chunks are copied into the module's small
 * memory and back, which stays in the processor's cache; the flat buffers stay where they are.
 * Encoding: https://webassembly.github.io/spec/core/binary
 */

/** Elements of a chunk; four chunks take a quarter of a megabyte. */
const CHUNK = 16384;
const regions = { gradient: 0, parameter: 1, first: 2, second: 3 } as const;
const regionBytes = 4 * CHUNK;

/** Factors of one update: p <- p keep - stepSize m / (sqrt(v) correction + epsilon). */
export interface AdamWFactors {
  gradientScale: number;
  beta1: number;
  beta2: number;
  keep: number;
  stepSize: number;
  correction: number;
  epsilon: number;
}

const leb = (value: number): number[] =>
  value < 0x80 ? [value] : [(value & 0x7f) | 0x80, ...leb(value >>> 7)];
const vector = (items: readonly number[][]): number[] => [...leb(items.length), ...items.flat()];
const section = (id: number, content: number[]): number[] => [
  id,
  ...leb(content.length),
  ...content,
];
const text = (value: string): number[] => [...leb(value.length), ...Buffer.from(value)];

const I32 = 0x7f;
const F32 = 0x7d;
const V128 = 0x7b;
type Code = number[];
const get = (local: number): Code => [0x20, ...leb(local)];
const set = (local: number, value: Code): Code => [...value, 0x21, ...leb(local)];
const simd = (opcode: number, ...operands: Code[]): Code => [
  ...operands.flat(),
  0xfd,
  ...leb(opcode),
];
const splat = (x: Code): Code => simd(0x13, x);
const sqrt = (x: Code): Code => simd(0xe3, x);
const add = (a: Code, b: Code): Code => simd(0xe4, a, b);
const sub = (a: Code, b: Code): Code => simd(0xe5, a, b);
const mul = (a: Code, b: Code): Code => simd(0xe6, a, b);
const div = (a: Code, b: Code): Code => simd(0xe7, a, b);

function assemble(): Uint8Array<ArrayBuffer> {
  // Parameters: the chunk's bytes, then the scalars. Locals: the place, each scalar in four lanes,
  // and the three values that are used more than once.
  const scalars = 9;
  const [bytes, at] = [0, scalars + 1];
  const lanes = (scalar: number): number => at + 1 + scalar;
  const [scale, beta1, rest1, beta2, rest2, keep, stepSize, correction, epsilon] = Array.from(
    { length: scalars },
    (_, scalar) => get(lanes(scalar)),
  ) as [Code, Code, Code, Code, Code, Code, Code, Code, Code];
  const [g, m, v] = [lanes(scalars), lanes(scalars + 1), lanes(scalars + 2)];
  const memoryArgument = (region: number): Code => [4, ...leb(region * regionBytes)];
  const load = (region: number): Code => [...get(at), 0xfd, 0, ...memoryArgument(region)];
  const store = (region: number, value: Code): Code => [
    ...get(at),
    ...value,
    ...[0xfd, 0x0b],
    ...memoryArgument(region),
  ];
  const denominator = add(mul(sqrt(get(v)), correction), epsilon);
  const code = [
    ...Array.from({ length: scalars }, (_, scalar) =>
      set(lanes(scalar), splat(get(1 + scalar))),
    ).flat(),
    ...[0x03, 0x40], // loop
    ...set(g, mul(load(regions.gradient), scale)),
    ...set(m, add(mul(load(regions.first), beta1), mul(get(g), rest1))),
    ...set(v, add(mul(load(regions.second), beta2), mul(mul(get(g), get(g)), rest2))),
    ...store(regions.first, get(m)),
    ...store(regions.second, get(v)),
    ...store(
      regions.parameter,
      sub(mul(load(regions.parameter), keep), div(mul(get(m), stepSize), denominator)),
    ),
    ...[...get(at), 0x41, 16, 0x6a, 0x22, ...leb(at)], // at += 16
    ...[...get(bytes), 0x49, 0x0d, 0], // again while at < bytes
    ...[0x0b, 0x0b],
  ];
  const locals = vector([
    [1, I32],
    [...leb(scalars + 3), V128],
  ]);
  const body = [...locals, ...code];
  const pages = (4 * regionBytes) / 65536;
  return Uint8Array.from([
    ...[0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
    ...section(1, vector([[0x60, ...vector([[I32], ...Array<Code>(scalars).fill([F32])]), 0]])),
    ...section(3, vector([[0]])),
    ...section(5, vector([[0, ...leb(pages)]])),
    ...section(
      7,
      vector([
        [...text("memory"), 2, 0],
        [...text("update"), 0, 0],
      ]),
    ),
    ...section(10, vector([[...leb(body.length), ...body]])),
  ]);
}

interface KernelExports {
  memory: { buffer: ArrayBuffer };
  update(bytes: number, ...scalars: number[]): void;
}

/** The part of Node's WebAssembly that is used; its types come with the DOM's only. */
interface WebAssemblyApi {
  Module: new (bytes: Uint8Array<ArrayBuffer>) => object;
  Instance: new (module: object) => { exports: unknown };
}

function instantiate(): { update: KernelExports["update"]; chunk: readonly Float32Array[] } {
  const { Module, Instance } = (globalThis as unknown as { WebAssembly: WebAssemblyApi })
    .WebAssembly;
  const { memory, update } = new Instance(new Module(assemble())).exports as KernelExports;
  const chunk = Object.values(regions).map(
    (region) => new Float32Array(memory.buffer, region * regionBytes, CHUNK),
  );
  return { update, chunk };
}

let kernel: ReturnType<typeof instantiate> | undefined;

/** Updates the elements [start, end) of the flat buffers in place; the gradient is only read. */
export function updateRange(
  [start, end]: readonly [number, number],
  buffers: {
    gradient: Float32Array;
    parameters: Float32Array;
    firstMoment: Float32Array;
    secondMoment: Float32Array;
  },
  { gradientScale, beta1, beta2, keep, stepSize, correction, epsilon }: AdamWFactors,
): void {
  const { update, chunk } = (kernel ??= instantiate());
  const { gradient, parameters, firstMoment, secondMoment } = buffers;
  const flats = [gradient, parameters, firstMoment, secondMoment];
  for (let from = start; from < end; from += CHUNK) {
    const to = Math.min(end, from + CHUNK);
    flats.forEach((flat, i) => chunk[i]!.set(flat.subarray(from, to)));
    update(
      4 * (to - from), // lanes beyond the end compute on what was there before, and are not copied
      gradientScale,
      ...[beta1, 1 - beta1, beta2, 1 - beta2],
      ...[keep, stepSize, correction, epsilon],
    );
    for (let i = regions.parameter; i < flats.length; i++) {
      flats[i]!.set(chunk[i]!.subarray(0, to - from), from);
    }
  }
}
