import { describe, expect, test } from "vitest";
import {
  estimateMemory,
  largestFittingEvaluation,
  largestFittingMicroBatch,
  type MemoryInputs,
} from "../../src/plan/memory.js";
import { stateBytes } from "../../src/plan/memory-state.js";
import { countParameters, presetShape, shapeOf } from "../../src/plan/model-size.js";

const base = presetShape("modernbert-base");
const large = presetShape("modernbert-large");
const GIB = 2 ** 30;
const MIB = 2 ** 20;

describe("state, by hand", () => {
  const on8 = { engine: "accelerate", precision: "bfloat16", devices: 8, accumulation: 1 } as const;
  const state = (strategy: MemoryInputs["strategy"], shape = large) =>
    stateBytes({ ...on8, strategy, parameters: countParameters(shape) });

  test("ddp: bfloat16 weights, gradients, moments and buckets, no master copies", () => {
    expect(state("ddp", base)).toEqual({
      weights: 299_310_464,
      gradients: 299_310_464,
      optimizer: 598_620_928,
      communication: 299_310_464,
    });
    expect(state("ddp")).toEqual({
      weights: 791_763_328,
      gradients: 791_763_328,
      optimizer: 1_583_526_656,
      communication: 791_763_328,
    });
  });

  test("zero2: whole weights; gradients and 12 bytes of float32 state per weight shared by 8", () => {
    expect(state("zero2", base)).toEqual({
      weights: 299_310_464,
      gradients: 37_413_808,
      optimizer: 224_482_848,
      communication: 1_000_000_000,
    });
    expect(state("zero2")).toEqual({
      weights: 791_763_328,
      gradients: 98_970_416,
      optimizer: 593_822_496,
      communication: 1_000_000_000,
    });
  });

  test("zero1 keeps whole gradients, zero3 shares the weights too, fsdp all in float32", () => {
    expect(state("zero1")).toMatchObject({ gradients: 791_763_328, optimizer: 593_822_496 });
    expect(state("zero3")).toMatchObject({ weights: 98_970_416, gradients: 98_970_416 });
    expect(state("fsdp")).toMatchObject({
      weights: 197_940_832,
      gradients: 197_940_832,
      optimizer: 395_881_664,
      // Embedding, head and two layers, gathered in bfloat16.
      communication: 2 * (51_577_856 + 1_100_992 + 2 * 12_257_280),
    });
  });

  test("one process shares nothing and sends nothing", () => {
    const parameters = countParameters(large);
    const single = stateBytes({ ...on8, strategy: "single", devices: 1, parameters });
    expect(single.communication).toBe(0);
    const zero2 = stateBytes({ ...on8, strategy: "zero2", devices: 1, parameters });
    expect(zero2).toMatchObject({ optimizer: 12 * parameters.total, communication: 0 });
  });

  test("float32 doubles what was bfloat16", () => {
    const parameters = countParameters(base);
    const ddp = stateBytes({ ...on8, strategy: "ddp", precision: "float32", parameters });
    const total = Object.values(ddp).reduce((sum, value) => sum + value, 0);
    expect(total).toBe(20 * 149_655_232);
  });

  test("onnx: float32 throughout, a second gradient where micro-batches are summed", () => {
    const onnx = { ...on8, engine: "onnx", strategy: "single", devices: 1 } as const;
    const parameters = countParameters(large);
    expect(stateBytes({ ...onnx, parameters })).toEqual({
      weights: 1_583_526_656,
      gradients: 1_583_526_656 + 2 * 4 * 51_577_856,
      optimizer: 3_167_053_312,
      communication: 0,
    });
    expect(stateBytes({ ...onnx, parameters, accumulation: 2 }).gradients).toBe(
      3_167_053_312 + 2 * 4 * 51_577_856,
    );
  });
});

const chat = (shape = large, more: Partial<MemoryInputs> = {}): MemoryInputs => ({
  engine: "accelerate",
  strategy: "zero2",
  precision: "bfloat16",
  devices: 8,
  accumulation: 1,
  shape,
  microBatchRows: 48,
  sequence: 1024,
  evaluationRows: 48,
  ...more,
});

test("the report's chat run by hand: 48 rows of 1024 tokens, zero2", () => {
  const tokens = 48 * 1024;
  expect(estimateMemory(chat()).bytes).toMatchObject({
    activations: tokens * 28 * 2 * (9 * 1024 + 4 * 2624),
    logits: tokens * 50_368 * 3 * 2,
  });
  expect(estimateMemory(chat(base)).bytes).toMatchObject({
    activations: tokens * 22 * 2 * (9 * 768 + 4 * 1152),
    logits: tokens * 50_368 * 3 * 2,
  });
  // ddp computes logits and layer norms in float32.
  expect(estimateMemory(chat(large, { strategy: "ddp" })).bytes).toMatchObject({
    activations: tokens * 28 * (2 * (7 * 1024 + 4 * 2624) + 4 * 2 * 1024),
    logits: tokens * 50_368 * 3 * 4,
  });
});

test("the runs that were made on A100s with 80 GB fit them, and not half of it", () => {
  const ddp = { strategy: "ddp", microBatchRows: 64, sequence: 512, evaluationRows: 64 } as const;
  const openWebText = {
    strategy: "ddp",
    devices: 32,
    microBatchRows: 32,
    evaluationRows: 0,
  } as const;
  for (const inputs of [chat(), chat(large, ddp), chat(large, openWebText)]) {
    const { peakBytes, dominant } = estimateMemory(inputs);
    expect(peakBytes).toBeLessThan(80e9);
    expect(peakBytes).toBeGreaterThan(40e9);
    expect(dominant).toBe("activations");
  }
  expect(estimateMemory(chat(base)).peakBytes).toBeLessThan(50e9);
});

test("an evaluation keeps no activations, but all logits", () => {
  const estimate = estimateMemory(chat(base, { evaluationRows: 512 }));
  expect(estimate.peakBytes).toBe(estimate.evaluationPeakBytes);
  expect(estimate.evaluationPeakBytes).toBeGreaterThan(512 * 1024 * 50_368 * 6);
  expect(estimateMemory(chat(base, { evaluationRows: 0 })).evaluationPeakBytes).toBe(0);
});

/** Peak resident size of the onnx engine with half of the tokens masked, measured on a machine of two cores. */
const small = { hidden_size: 256, num_hidden_layers: 6, num_attention_heads: 4, vocab_size: 8192 };
const narrow = shapeOf("modernbert", { ...small, intermediate_size: 384 });
const quickstart = shapeOf("modernbert", {
  hidden_size: 128,
  num_hidden_layers: 3,
  num_attention_heads: 8,
  intermediate_size: 256,
  vocab_size: 2048,
});
const measured = [
  { name: "ModernBERT-large, 1 x 128", shape: large, rows: 1, sequence: 128, peak: 6.6 * GIB },
  { name: "quickstart, 32 x 64", shape: quickstart, rows: 32, sequence: 64, peak: 294 * MIB },
  { name: "6 layers, 8 x 128", shape: narrow, rows: 8, sequence: 128, peak: 411 * MIB },
  { name: "6 layers, 16 x 128", shape: narrow, rows: 16, sequence: 128, peak: 550 * MIB },
  { name: "6 layers, 8 x 256", shape: narrow, rows: 8, sequence: 256, peak: 599 * MIB },
  {
    name: "4 layers of ModernBERT-base, 4 x 128",
    shape: { ...base, layers: 4 },
    rows: 4,
    sequence: 128,
    peak: 1767 * MIB,
  },
  {
    name: "BERT, 8 x 128",
    shape: shapeOf("bert", { ...small, intermediate_size: 1024 }),
    rows: 8,
    sequence: 128,
    peak: 457 * MIB,
  },
];

test.each(measured)(
  "onnx engine, $name: at most 10 % below the measured peak and 20 % above",
  (run) => {
    const { peakBytes } = estimateMemory({
      engine: "onnx",
      strategy: "single",
      precision: "float32",
      devices: 1,
      accumulation: 1,
      shape: run.shape,
      microBatchRows: run.rows,
      sequence: run.sequence,
      evaluationRows: 0,
    });
    expect(peakBytes / run.peak).toBeGreaterThan(0.9);
    expect(peakBytes / run.peak).toBeLessThan(1.2);
  },
);

test("the largest micro-batch that fits: one row more would not", () => {
  for (const limit of [8, 16, 24, 40, 80, 200]) {
    const limitBytes = limit * GIB;
    const rows = largestFittingMicroBatch(chat(), { limitBytes, atMost: 64 });
    const peak = (microBatchRows: number) =>
      estimateMemory(chat(large, { microBatchRows })).trainingPeakBytes;
    expect(rows).toBeGreaterThan(0);
    expect(peak(rows)).toBeLessThanOrEqual(limitBytes);
    if (rows < 64) expect(peak(rows + 1)).toBeGreaterThan(limitBytes);
  }
  expect(largestFittingMicroBatch(chat(), { limitBytes: GIB, atMost: 64 })).toBe(0);
  expect(largestFittingMicroBatch(chat(), { limitBytes: 1e15, atMost: 64 })).toBe(64);
  expect(largestFittingEvaluation(chat(), { limitBytes: 16 * GIB, atMost: 512 })).toBe(32);
  expect(largestFittingEvaluation(chat(), { limitBytes: GIB, atMost: 512 })).toBe(0);
});

test("more rows, longer rows and larger models take more; more devices never do", () => {
  const peak = (more: Partial<MemoryInputs>, shape = large) =>
    estimateMemory(chat(shape, more)).peakBytes;
  for (const engine of ["onnx", "accelerate"] as const) {
    for (const strategy of ["ddp", "zero1", "zero2", "zero3", "fsdp"] as const) {
      const given = { engine, strategy };
      expect(peak({ ...given, microBatchRows: 49 })).toBeGreaterThan(peak(given));
      expect(peak({ ...given, sequence: 1025 })).toBeGreaterThan(peak(given));
      expect(peak(given)).toBeGreaterThan(peak(given, base));
      expect(peak({ ...given, devices: 16 })).toBeLessThanOrEqual(peak(given));
    }
  }
});
