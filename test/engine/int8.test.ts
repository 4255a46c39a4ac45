/** @file Linear maps in int8 against float32, and what they cost a whole model. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { sumsInt8Exactly } from "../../src/engine/cpu-features.js";
import { toInt8 } from "../../src/engine/int8.js";
import { compileGraph } from "../../src/engine/session.js";
import { hold } from "../../src/engine/stored-values.js";
import { gatherRows } from "../../src/graph/ops/indexing.js";
import { gemm } from "../../src/graph/ops/linear.js";
import { input } from "../../src/graph/ops/source.js";
import { loadMaskedLm } from "../../src/model/masked-lm.js";
import { goldenDirectory, printGolden } from "../support/golden.js";

const random = (length: number, scale: (i: number) => number): Float32Array =>
  Float32Array.from({ length }, (_, i) => Math.sin(i * 12.9898 + 1) * scale(i));

/** Sum of squares of the difference over that of the second, as a root. */
const relativeError = (found: ArrayLike<number>, exact: ArrayLike<number>): number => {
  const sum = (of: (i: number) => number): number =>
    Array.from(exact, (_, i) => of(i) ** 2).reduce((a, b) => a + b, 0);
  return Math.sqrt(sum((i) => found[i]! - exact[i]!) / sum((i) => exact[i]!));
};

describe("toInt8", () => {
  const x = input("x", "float32", ["rows", 64]);
  const weight = input("weight", "float32", [32, 64]);
  const data = random(32 * 64, () => 1);
  const initializers = new Map([["weight", { shape: [32, 64], data }]]);
  const outputs = { y: gemm(x, weight, { transposeB: true }) };

  test.each([
    { exactSums: true, top: 127 },
    { exactSums: false, top: 63 },
  ])("weights are within +-$top", async ({ exactSums, top }) => {
    const graph = await toInt8({ outputs, initializers }, exactSums);
    const small = await hold(graph.initializers.get("weight.int8")!);
    expect(small.data).toBeInstanceOf(Int8Array);
    expect(Math.max(...small.data.map(Math.abs))).toBe(top);
  });

  test("rows of very different size keep their precision", async () => {
    const rows = random(3 * 64, (i) => 1000 ** (Math.floor(i / 64) - 1));
    const results: Float32Array[] = [];
    for (const graph of [{ outputs, initializers }, await toInt8({ outputs, initializers })]) {
      const session = await compileGraph(graph, { threads: 1 });
      const { y } = await session.run({ x: { data: rows, shape: [3, 64] } }, {}, ["y"]);
      results.push(y!);
      await session.dispose();
    }
    const [exact, found] = results as [Float32Array, Float32Array];
    expect([...found]).not.toEqual([...exact]);
    for (let row = 0; row < 3; row++) {
      const of = (values: Float32Array) => values.subarray(row * 32, (row + 1) * 32);
      expect(relativeError(of(found), of(exact))).toBeLessThan(0.02);
    }
  });

  test("a parameter with another use is kept for it, one without is dropped", async () => {
    expect([...(await toInt8({ outputs, initializers })).initializers.keys()]).toEqual([
      "weight.int8",
      "weight.scale",
    ]);
    const both = { ...outputs, z: gatherRows(weight, input("i", "int32", ["n"])) };
    expect((await toInt8({ outputs: both, initializers })).initializers.has("weight")).toBe(true);
  });
});

test("int8 products saturate on x86 without VNNI only", () => {
  expect(sumsInt8Exactly("arm64", new Set())).toBe(true);
  expect(sumsInt8Exactly("x64", new Set(["avx2"]))).toBe(false);
  expect(sumsInt8Exactly("x64", new Set(["avx2", "avx_vnni"]))).toBe(true);
  expect(sumsInt8Exactly("x64", new Set())).toBe(false);
});

const golden = goldenDirectory();
describe.each(["modernbert", "bert", "roberta"])("golden model %s in int8", (family) => {
  const directory = join(golden ?? "", "models", family);
  test.skipIf(golden === undefined || !existsSync(directory))("logits", async () => {
    const models = [
      await loadMaskedLm(directory, { threads: 1 }),
      await loadMaskedLm(directory, { threads: 1, precision: "int8" }),
    ] as const;
    const { vocabSize } = models[0];
    const inputIds = Int32Array.from({ length: 96 }, (_, i) => (i * 977 + i * i) % vocabSize);
    const positions = Int32Array.from({ length: 24 }, (_, i) => 4 * i);
    const [exact, found] = await Promise.all(
      models.map((model) => model.logits({ inputIds, batch: 2, seq: 48, positions })),
    );
    const error = relativeError(found!, exact!);
    printGolden(`int8 ${family}, relative error of logits`, positions.length, error);
    expect(error).toBeGreaterThan(0);
    // The golden models are narrow, with large weights: real ones are closer.
    expect(error).toBeLessThan(0.1);
    for (const model of models) await model.dispose();
  });
});
