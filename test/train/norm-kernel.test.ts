import { expect, test } from "vitest";
import { sumOfSquares } from "../../src/train/norm-kernel.js";
import { CHUNK } from "../../src/train/wasm.js";

const lengths = [0, 1, 7, 8, 9, CHUNK - 1, CHUNK, CHUNK + 3, 2 * CHUNK + 1];

test.each(lengths)("the sum of %i squares is that of double precision", (length) => {
  // What an earlier, longer chunk left must not count.
  sumOfSquares(new Float32Array(CHUNK).fill(1e10));
  const values = Float32Array.from({ length }, (_, i) => Math.sin(i) * 10 ** ((i % 9) - 4));
  const expected = values.reduce((sum, value) => sum + value * value, 0);
  expect(Math.abs(sumOfSquares(values) - expected)).toBeLessThanOrEqual(1e-13 * expected);
});

test("no number and no finite sum are seen", () => {
  expect(sumOfSquares(Float32Array.of(1, NaN, 2))).toBeNaN();
  expect(sumOfSquares(Float32Array.of(1, Infinity))).toBe(Infinity);
});
