/** @file Products that are computed in another way than they are written, with the same results. */
import { describe, expect, test } from "vitest";
import { OnnxSession, type Value } from "../../src/engine/onnx-session.js";
import { cutProducts, cutValues } from "../../src/graph/cut-products.js";
import { writeOnnx } from "../../src/graph/onnx/writer.js";
import { add } from "../../src/graph/ops/elementwise.js";
import { gemm } from "../../src/graph/ops/linear.js";
import { split } from "../../src/graph/ops/shape.js";
import { input } from "../../src/graph/ops/source.js";
import { nodesOf, type Tensor } from "../../src/graph/tensor.js";

const values = (rows: number, columns: number, seed: number) => ({
  data: Float32Array.from({ length: rows * columns }, (_, i) => Math.sin(seed + 0.37 * i)),
  shape: [rows, columns],
});

async function run(
  outputs: Record<string, Tensor>,
  feeds: Record<string, Value>,
): Promise<Record<string, Float32Array>> {
  const session = await OnnxSession.create(writeOnnx({ outputs }), { threads: 1 });
  const results = await session.run(feeds, {}, Object.keys(outputs));
  await session.dispose();
  return results;
}

function closeTo(found: Float32Array, expected: Float32Array): void {
  expect(found).toHaveLength(expected.length);
  found.forEach((value, i) => expect(value).toBeCloseTo(expected[i]!, 4));
}

const x = () => input("x", "float32", ["n", 4]);
const weight = () => input("w", "float32", [6, 4]);
const linear = (a: Tensor, w: Tensor): Tensor => gemm(a, w, { transposeB: true });
const splits = (outputs: Record<string, Tensor>): number =>
  nodesOf(Object.values(outputs)).filter(({ op }) => op.name === "Split").length;

describe("cutProducts", () => {
  test("each piece is the product with its rows of the parameter, in place", async () => {
    const [a, b, c] = split(linear(x(), weight()), 1, [1, 2, 3]);
    const outputs = { a: a!, b: b!, c: c! };
    const cut = cutProducts(outputs);
    expect(splits(outputs)).toBe(1);
    expect(splits(cut.outputs)).toBe(0);

    const parameters = new Map([["w", values(6, 4, 1)]]);
    const pieces = cutValues(parameters, cut);
    expect([...pieces.keys()]).toEqual(["w[0:1]", "w[1:3]", "w[3:6]"]);
    for (const { data } of pieces.values())
      expect(data.buffer).toBe(parameters.get("w")!.data.buffer);

    const feeds = { x: values(5, 4, 2) };
    const whole = await run(outputs, { ...feeds, ...Object.fromEntries(parameters) });
    const found = await run(cut.outputs, { ...feeds, ...Object.fromEntries(pieces) });
    for (const name of ["a", "b", "c"]) closeTo(found[name]!, whole[name]!);
  });

  const kept: [string, () => Record<string, Tensor>][] = [
    [
      "a parameter that has another use",
      () => {
        const w = weight();
        const [a, b] = split(linear(x(), w), 1, [2, 4]);
        return { a: a!, b: b!, all: linear(x(), w) };
      },
    ],
    [
      "a result that has another use",
      () => {
        const whole = linear(x(), weight());
        const [a, b] = split(whole, 1, [2, 4]);
        return { a: a!, b: b!, sum: add(whole, whole) };
      },
    ],
    [
      "rows of a result",
      () => {
        const [a, b] = split(linear(input("x", "float32", [5, 4]), weight()), 0, [2, 3]);
        return { a: a!, b: b! };
      },
    ],
  ];
  test.each(kept)("%s is left as it is", (_, build) => {
    const outputs = build();
    const cut = cutProducts(outputs);
    expect(cut.outputs).toEqual(outputs);
    expect(cut.ranges.size).toBe(0);
  });
});

test.each([511, 512])("a transposed left operand, %i columns", async (columns) => {
  const [depth, rows] = [3, 5];
  const product = gemm(input("a", "float32", ["k", rows]), input("b", "float32", ["k", columns]), {
    transposeA: true,
  });
  const [a, b] = [values(depth, rows, 1), values(depth, columns, 2)];
  const { c } = await run({ c: product }, { a, b });
  const expected = new Float32Array(rows * columns);
  for (let k = 0; k < depth; k++) {
    for (let i = 0; i < rows; i++) {
      for (let j = 0; j < columns; j++) {
        expected[i * columns + j]! += a.data[k * rows + i]! * b.data[k * columns + j]!;
      }
    }
  }
  closeTo(c!, expected);
});
