/** @file AdamW's update in WebAssembly SIMD, four elements at a time in float32. */
import { CHUNK, get, instantiate, load, loop, set, simd, store, type Code } from "./wasm.js";

const regions = { gradient: 0, parameter: 1, first: 2, second: 3 } as const;

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

const splat = (x: Code): Code => simd(0x13, [x]);
const sqrt = (x: Code): Code => simd(0xe3, [x]);
const add = (a: Code, b: Code): Code => simd(0xe4, [a, b]);
const sub = (a: Code, b: Code): Code => simd(0xe5, [a, b]);
const mul = (a: Code, b: Code): Code => simd(0xe6, [a, b]);
const div = (a: Code, b: Code): Code => simd(0xe7, [a, b]);

const SCALARS = 9;

/** (bytes of the chunk, scalars); see `updateRange`. */
function createKernel() {
  // Locals: the place, each scalar in four lanes, and the three values that are used more than once.
  const [bytes, at] = [0, SCALARS + 1];
  const lanes = (scalar: number): number => at + 1 + scalar;
  const [scale, beta1, rest1, beta2, rest2, keep, stepSize, correction, epsilon] = Array.from(
    { length: SCALARS },
    (_, scalar) => get(lanes(scalar)),
  ) as [Code, Code, Code, Code, Code, Code, Code, Code, Code];
  const [g, m, v] = [lanes(SCALARS), lanes(SCALARS + 1), lanes(SCALARS + 2)];
  const { gradient, parameter, first, second } = regions;
  const denominator = add(mul(sqrt(get(v)), correction), epsilon);
  const body = [
    ...set(g, mul(load(gradient, at), scale)),
    ...set(m, add(mul(load(first, at), beta1), mul(get(g), rest1))),
    ...set(v, add(mul(load(second, at), beta2), mul(mul(get(g), get(g)), rest2))),
    ...store(first, at, get(m)),
    ...store(second, at, get(v)),
    ...store(
      parameter,
      at,
      sub(mul(load(parameter, at), keep), div(mul(get(m), stepSize), denominator)),
    ),
  ];
  const spread = Array.from({ length: SCALARS }, (_, scalar) =>
    set(lanes(scalar), splat(get(1 + scalar))),
  );
  return instantiate<(bytes: number, ...scalars: number[]) => void>({
    parameters: ["i32", ...Array<"f32">(SCALARS).fill("f32")],
    locals: ["i32", ...Array<"v128">(SCALARS + 3).fill("v128")],
    code: [...spread.flat(), ...loop({ at, end: bytes, step: 16 }, body)],
    chunks: Object.keys(regions).length,
  });
}

let kernel: ReturnType<typeof createKernel> | undefined;

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
  const { call, memory } = (kernel ??= createKernel());
  const { gradient, parameters, firstMoment, secondMoment } = buffers;
  const flats = [gradient, parameters, firstMoment, secondMoment];
  for (let from = start; from < end; from += CHUNK) {
    const to = Math.min(end, from + CHUNK);
    flats.forEach((flat, i) => memory[i]!.set(flat.subarray(from, to)));
    call(
      4 * (to - from), // lanes beyond the end compute on what was there before, and are not copied
      gradientScale,
      ...[beta1, 1 - beta1, beta2, 1 - beta2],
      ...[keep, stepSize, correction, epsilon],
    );
    for (let i = regions.parameter; i < flats.length; i++) {
      flats[i]!.set(memory[i]!.subarray(0, to - from), from);
    }
  }
}
