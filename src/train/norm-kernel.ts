/** @file The sum of squares of a flat buffer in WebAssembly SIMD, in double precision. */
import { CHUNK, get, instantiate, load, loop, set, simd, type Code } from "./wasm.js";

const widen = (x: Code): Code => simd(0x5f, [x]);
/** The upper two elements in the place of the lower two. */
const upper = (x: number): Code =>
  simd(0x0d, [get(x), get(x)], [8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7]);
const addPairs = (a: Code, b: Code): Code => simd(0xf0, [a, b]);
const mulPairs = (a: Code, b: Code): Code => simd(0xf2, [a, b]);
const lane = (x: number, index: number): Code => simd(0x21, [get(x)], [index]);
const addNumbers = (a: Code, b: Code): Code => [...a, ...b, 0xa0];

/** Elements of a round. */
const ROUND = 8;

/** (bytes: a multiple of those of a round) -> sum of squares. */
function createKernel() {
  const [bytes, at, four, two] = [0, 1, 2, 3];
  // Four sums of pairs: one would wait for each addition before the next.
  const sums = [4, 5, 6, 7];
  const addSquares = (sum: number, pair: Code): Code => [
    ...set(two, widen(pair)),
    ...set(sum, addPairs(get(sum), mulPairs(get(two), get(two)))),
  ];
  const body = [0, 1].flatMap((half) => [
    ...set(four, load(0, at, 16 * half)),
    ...addSquares(sums[2 * half]!, get(four)),
    ...addSquares(sums[2 * half + 1]!, upper(four)),
  ]);
  const totals = sums.map((sum) => addNumbers(lane(sum, 0), lane(sum, 1)));
  return instantiate<(bytes: number) => number>({
    parameters: ["i32"],
    result: "f64",
    locals: ["i32", ...Array<"v128">(6).fill("v128")],
    code: [...loop({ at, end: bytes, step: 4 * ROUND }, body), ...totals.reduce(addNumbers)],
    chunks: 1,
  });
}

let kernel: ReturnType<typeof createKernel> | undefined;

/** Returns the sum of squares of a buffer, float64, the same wherever the buffer lies. */
export function sumOfSquares(values: Float32Array): number {
  const { call, memory } = (kernel ??= createKernel());
  const chunk = memory[0]!;
  let sum = 0;
  for (let from = 0; from < values.length; from += CHUNK) {
    const count = Math.min(CHUNK, values.length - from);
    const rounded = Math.ceil(count / ROUND) * ROUND;
    chunk.set(values.subarray(from, from + count));
    chunk.fill(0, count, rounded);
    sum += call(4 * rounded);
  }
  return sum;
}
