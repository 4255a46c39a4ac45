/**
 * @file Assembles small WebAssembly SIMD modules with one function over a memory that holds a chunk
 * of each flat buffer: a dozen instructions need no compiler. Chunks are copied into it and stay in
 * the processor's cache; the buffers stay where they are.
 * Encoding: https://webassembly.github.io/spec/core/binary
 */

/** Elements float32 of a chunk. */
export const CHUNK = 16384;
const CHUNK_BYTES = 4 * CHUNK;

export type Code = number[];

const valueType = { i32: 0x7f, f32: 0x7d, f64: 0x7c, v128: 0x7b } as const;
type ValueType = keyof typeof valueType;

const leb = (value: number): Code =>
  value < 0x80 ? [value] : [(value & 0x7f) | 0x80, ...leb(value >>> 7)];
const vector = (items: readonly Code[]): Code => [...leb(items.length), ...items.flat()];
const section = (id: number, content: Code): Code => [id, ...leb(content.length), ...content];
const text = (value: string): Code => [...leb(value.length), ...Buffer.from(value)];

export const get = (local: number): Code => [0x20, ...leb(local)];
export const set = (local: number, value: Code): Code => [...value, 0x21, ...leb(local)];
/** An instruction of the SIMD group; immediates follow its opcode. */
export const simd = (opcode: number, operands: readonly Code[], immediates: Code = []): Code => [
  ...operands.flat(),
  ...[0xfd, ...leb(opcode)],
  ...immediates,
];

/** Place `offset` bytes behind the start of chunk number `chunk`, for vectors of 16 bytes. */
const place = (chunk: number, offset: number): Code => [4, ...leb(chunk * CHUNK_BYTES + offset)];
/** Four elements of a chunk, `at` bytes behind its start. */
export const load = (chunk: number, at: number, offset = 0): Code =>
  simd(0, [get(at)], place(chunk, offset));
export const store = (chunk: number, at: number, value: Code): Code =>
  simd(0x0b, [get(at), value], place(chunk, 0));

/** Repeats a body with local `at` going up by `step` while it is less than local `end`. */
export const loop = (
  { at, end, step }: { at: number; end: number; step: number },
  body: Code,
): Code => [
  ...[0x03, 0x40],
  ...body,
  ...[...get(at), 0x41, ...leb(step), 0x6a, 0x22, ...leb(at)],
  ...[...get(end), 0x49, 0x0d, 0],
  0x0b,
];

interface WasmFunction {
  parameters: readonly ValueType[];
  result?: ValueType;
  /** Further locals, numbered after the parameters. */
  locals: readonly ValueType[];
  code: Code;
  chunks: number;
}

/** The part of Node's WebAssembly that is used; its types come with the DOM's only. */
interface WebAssemblyApi {
  Module: new (bytes: Uint8Array<ArrayBuffer>) => object;
  Instance: new (module: object) => { exports: unknown };
}

/** Returns the function, and the chunks of its memory. */
export function instantiate<Call>({ parameters, result, locals, code, chunks }: WasmFunction): {
  call: Call;
  memory: readonly Float32Array[];
} {
  const type = (each: ValueType): Code => [valueType[each]];
  const body = [...vector(locals.map((each) => [1, ...type(each)])), ...code, 0x0b];
  const results = result === undefined ? [] : [type(result)];
  const bytes = Uint8Array.from([
    ...[0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
    ...section(1, vector([[0x60, ...vector(parameters.map(type)), ...vector(results)]])),
    ...section(3, vector([[0]])),
    ...section(5, vector([[0, ...leb((chunks * CHUNK_BYTES) / 65536)]])),
    ...section(
      7,
      vector([
        [...text("memory"), 2, 0],
        [...text("call"), 0, 0],
      ]),
    ),
    ...section(10, vector([[...leb(body.length), ...body]])),
  ]);
  const { Module, Instance } = (globalThis as unknown as { WebAssembly: WebAssemblyApi })
    .WebAssembly;
  const { memory, call } = new Instance(new Module(bytes)).exports as {
    memory: { buffer: ArrayBuffer };
    call: Call;
  };
  const at = (chunk: number) => new Float32Array(memory.buffer, chunk * CHUNK_BYTES, CHUNK);
  return { call, memory: Array.from({ length: chunks }, (_, chunk) => at(chunk)) };
}
