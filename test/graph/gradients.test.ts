/** @file Gradients against finite differences, and their determinism at realistic size. */
import { describe, expect, test } from "vitest";
import { sha256 } from "../../src/base/fs.js";
import { randomStream } from "../../src/base/random.js";
import { OnnxSession, type Value } from "../../src/engine/onnx-session.js";
import { gradients } from "../../src/graph/autodiff.js";
import { writeOnnx } from "../../src/graph/onnx/writer.js";
import { linearCrossEntropy } from "../../src/graph/ops/cross-entropy.js";
import { dropout } from "../../src/graph/ops/dropout.js";
import { add, cos, erf, exp, gelu, mul, neg, sin, sub } from "../../src/graph/ops/elementwise.js";
import { gatherRows } from "../../src/graph/ops/indexing.js";
import { gemm, matmul } from "../../src/graph/ops/linear.js";
import { layerNorm, softmax } from "../../src/graph/ops/normalisation.js";
import { reduceMean, reduceSum } from "../../src/graph/ops/reduce.js";
import { rotary, rotaryTable } from "../../src/graph/ops/rotary.js";
import { concat, reshape, split, transpose } from "../../src/graph/ops/shape.js";
import { input } from "../../src/graph/ops/source.js";
import type { Tensor } from "../../src/graph/tensor.js";
import { initialiseParameters, layOut } from "../../src/model/parameters.js";
import { parseArchitecture } from "../../src/model/registry.js";
import { createTrainingStep } from "../../src/train/training-step.js";

interface Case {
  name: string;
  shapes: readonly (readonly number[])[];
  ints?: Readonly<Record<string, Value>>;
  build: (x: readonly Tensor[]) => Tensor;
}

const indices = (...values: number[]): Value => ({
  data: Int32Array.from(values),
  shape: [values.length],
});
const intInput = (name: string, length: number): Tensor => input(name, "int32", [length]);

const cases: Case[] = [
  { name: "add, broadcast", shapes: [[3, 4], [4]], build: ([a, b]) => add(a!, b!) },
  {
    name: "sub, broadcast",
    shapes: [
      [3, 1],
      [2, 3, 4],
    ],
    build: ([a, b]) => sub(a!, b!),
  },
  {
    name: "mul, broadcast",
    shapes: [
      [2, 3, 4],
      [3, 1],
    ],
    build: ([a, b]) => mul(a!, b!),
  },
  { name: "neg", shapes: [[5]], build: ([a]) => neg(a!) },
  { name: "exp", shapes: [[5]], build: ([a]) => exp(a!) },
  { name: "sin", shapes: [[5]], build: ([a]) => sin(a!) },
  { name: "cos", shapes: [[5]], build: ([a]) => cos(a!) },
  { name: "erf", shapes: [[5]], build: ([a]) => erf(a!) },
  { name: "gelu", shapes: [[3, 5]], build: ([a]) => gelu(a!) },
  { name: "reduceSum", shapes: [[3, 4]], build: ([a]) => reduceSum(a!, [0]) },
  { name: "reduceMean", shapes: [[3, 4]], build: ([a]) => reduceMean(a!, [1]) },
  { name: "reshape", shapes: [[3, 4]], build: ([a]) => reshape(a!, [2, 6]) },
  { name: "transpose", shapes: [[2, 3, 4]], build: ([a]) => transpose(a!, [2, 0, 1]) },
  {
    name: "split and concat",
    shapes: [[3, 6]],
    build: ([a]) => {
      const [b, , d] = split(a!, 1, [2, 1, 3]);
      return concat([d!, b!, d!], 1);
    },
  },
  ...[false, true].flatMap((transposeA) =>
    [false, true].flatMap((transposeB): Case[] => [
      {
        name: `gemm ${transposeA} ${transposeB}`,
        shapes: [transposeA ? [5, 3] : [3, 5], transposeB ? [4, 5] : [5, 4]],
        build: ([a, b]) => gemm(a!, b!, { transposeA, transposeB }),
      },
      {
        name: `matmul ${transposeA} ${transposeB}`,
        shapes: [transposeA ? [2, 5, 3] : [2, 3, 5], transposeB ? [2, 4, 5] : [2, 5, 4]],
        build: ([a, b]) => matmul(a!, b!, { transposeA, transposeB }),
      },
    ]),
  ),
  {
    name: "gatherRows with repeats and a frozen row",
    shapes: [[5, 3]],
    ints: { rows: indices(1, 4, 1, 2, 1) },
    build: ([a]) => gatherRows(a!, intInput("rows", 5), { frozenRow: 2 }),
  },
  {
    name: "gatherRows, unique",
    shapes: [[5, 3]],
    ints: { rows: indices(4, 0, 2) },
    build: ([a]) => gatherRows(a!, intInput("rows", 3), { unique: true }),
  },
  {
    name: "layerNorm",
    shapes: [[4, 6], [6], [6]],
    build: ([x, weight, bias]) => layerNorm(x!, weight!, 1e-5, bias),
  },
  { name: "softmax", shapes: [[3, 5]], build: ([a]) => softmax(a!) },
  {
    name: "linearCrossEntropy",
    shapes: [[4, 3], [6, 3], [6]],
    ints: { targets: indices(0, 5, 2, 2) },
    build: ([x, weight, bias]) =>
      linearCrossEntropy({ x: x!, weight: weight!, bias: bias! }, intInput("targets", 4)),
  },
  {
    name: "dropout under a fixed mask",
    shapes: [[2, 3]],
    ints: { keep: { data: Uint8Array.of(1, 0, 1, 1, 1, 0), shape: [2, 3] } },
    build: ([a]) => dropout(a!, input("keep", "bool", [2, 3]), 0.25),
  },
  { name: "rotary", shapes: [[2, 3, 5, 6]], build: ([a]) => rotary(a!, rotaryTable(5, 6, 100)) },
];

/** Row whose gradient is zero on purpose, so that a finite difference disagrees. */
const frozen = (name: string, index: number): boolean =>
  name.includes("frozen row") && Math.floor(index / 3) === 2;

describe.each(["standard", "onnxruntime"] as const)(
  "vector-Jacobian products agree with central differences, %s operators",
  (dialect) => {
    test.each(cases)("$name", async ({ name, shapes, ints = {}, build }) => {
      const inputs = shapes.map((shape, i) => input(`x${i}`, "float32", shape));
      const output = build(inputs);
      // A fixed random direction makes the output a scalar whose gradient has no symmetry.
      const direction = input("direction", "float32", output.shape);
      const axes = output.shape.map((_, axis) => axis);
      const loss = reshape(reduceSum(mul(output, direction), axes), []);
      const grads = gradients(loss, inputs);
      const session = await OnnxSession.create(
        writeOnnx({
          outputs: { loss, ...Object.fromEntries(grads.map((grad, i) => [`g${i}`, grad])) },
          dialect,
        }),
        { threads: 1 },
      );
      const stream = randomStream({ seed: 3, purpose: "split" });
      const random = (shape: readonly number[]): Value => {
        const length = shape.reduce((product, dim) => product * dim, 1);
        return { shape, data: Float32Array.from({ length }, () => stream.uniform() * 2 - 1) };
      };
      const feeds: Record<string, Value> = {
        ...ints,
        direction: random(output.shape as number[]),
        ...Object.fromEntries(shapes.map((shape, i) => [`x${i}`, random(shape)])),
      };
      const analytic = await session.run(
        feeds,
        {},
        shapes.map((_, i) => `g${i}`),
      );
      const epsilon = 1e-2;
      for (const [i] of shapes.entries()) {
        const data = feeds[`x${i}`]!.data as Float32Array;
        for (let j = 0; j < data.length; j++) {
          if (frozen(name, j)) {
            expect(analytic[`g${i}`]![j]).toBe(0);
            continue;
          }
          const at = async (value: number): Promise<number> => {
            data[j] = value;
            return (await session.run(feeds, {}, ["loss"]))["loss"]![0]!;
          };
          const original = data[j]!;
          const slope =
            ((await at(original + epsilon)) - (await at(original - epsilon))) / (2 * epsilon);
          data[j] = original;
          // Central differences in float32: truncation about 1e-4, rounding about 1e-5 / epsilon.
          expect(Math.abs(slope - analytic[`g${i}`]![j]!), `x${i}[${j}]`).toBeLessThan(4e-3);
        }
      }
      await session.dispose();
    });
  },
);

describe("embedding gradients at realistic size", () => {
  test("repeated ids accumulate exactly and deterministically with several threads", async () => {
    const [rows, width, count] = [4096, 256, 8192];
    const table = input("table", "float32", [rows, width]);
    const picked = gatherRows(table, intInput("ids", count));
    const direction = input("direction", "float32", [count, width]);
    const loss = reshape(reduceSum(mul(picked, direction), [0, 1]), []);
    const [grad] = gradients(loss, [table]);
    const session = await OnnxSession.create(writeOnnx({ outputs: { grad: grad! } }), {
      threads: 4,
    });
    const stream = randomStream({ seed: 5, purpose: "split" });
    // A few ids take most look-ups, as the mask token does.
    const ids = Int32Array.from({ length: count }, () =>
      stream.uniform() < 0.5 ? 7 : stream.below(rows),
    );
    // Small integers: their float32 sums are exact in any order, so only a lost update differs.
    const updates = Float32Array.from({ length: count * width }, () => stream.below(16) - 8);
    const expected = new Float32Array(rows * width);
    ids.forEach((id, i) => {
      for (let j = 0; j < width; j++) expected[id * width + j]! += updates[i * width + j]!;
    });
    for (let repeat = 0; repeat < 3; repeat++) {
      const results = await session.run(
        {
          ids: { data: ids, shape: [count] },
          direction: { data: updates, shape: [count, width] },
          table: { data: new Float32Array(rows * width), shape: [rows, width] },
        },
        {},
        ["grad"],
      );
      let wrong = 0;
      results["grad"]!.forEach((value, i) => {
        if (value !== expected[i]) wrong++;
      });
      expect(wrong).toBe(0);
    }
    await session.dispose();
  });

  test("a whole training step gives the same gradient bytes every time", async () => {
    const architecture = parseArchitecture({
      model_type: "modernbert",
      num_hidden_layers: 3,
      hidden_size: 128,
      num_attention_heads: 4,
      intermediate_size: 192,
      vocab_size: 2048,
      pad_token_id: 1,
    });
    const layout = layOut(architecture.family.parameters(architecture.config));
    const parameters = initialiseParameters(layout, 1);
    const gradient = new Float32Array(layout.size);
    const step = createTrainingStep({ architecture, parameters, gradient, threads: 2 });
    const [batch, seq] = [16, 64];
    const positions = Int32Array.from({ length: (batch * seq) / 2 }, (_, i) => 2 * i);
    const inputIds = Int32Array.from({ length: batch * seq }, (_, i) =>
      i % 2 === 0 ? 3 : (i * 7919) % 2048,
    );
    const hashes = new Set<string>();
    for (let repeat = 0; repeat < 4; repeat++) {
      await step.differentiate({
        inputIds,
        batch,
        seq,
        positions,
        targets: positions.map((position) => (position * 31) % 2048),
        weights: new Float32Array(positions.length).fill(1 / positions.length),
      });
      hashes.add(sha256(new Uint8Array(gradient.buffer)));
    }
    await step.dispose();
    expect(hashes.size).toBe(1);
  });
});
