/**
 * @file Predictions and gradients on a WebGPU adapter against the CPU. Without a GPU an adapter
 * in software will do: libvulkan1, and SwiftShader of Debian's chromium-common by VK_ICD_FILENAMES.
 */
import { describe, expect, test } from "vitest";
import { OnnxSession } from "../../src/engine/onnx-session.js";
import { writeOnnx } from "../../src/graph/onnx/writer.js";
import { neg } from "../../src/graph/ops/elementwise.js";
import { input } from "../../src/graph/ops/source.js";
import { createMaskedLm } from "../../src/model/masked-lm.js";
import { initialiseParameters, layOut } from "../../src/model/parameters.js";
import { modelFamilies, parseArchitecture } from "../../src/model/registry.js";
import { createTrainingStep } from "../../src/train/training-step.js";

async function reasonWithoutAdapter(): Promise<string | undefined> {
  const model = writeOnnx({ outputs: { y: neg(input("x", "float32", ["n"])) } });
  try {
    await (await OnnxSession.create(model, { threads: 1, device: "webgpu" })).dispose();
    return undefined;
  } catch (error) {
    const { message } = error as Error;
    if (message.includes("Failed to get a WebGPU adapter")) return message;
    throw error;
  }
}

const reason = await reasonWithoutAdapter();
if (reason !== undefined) console.warn(`skipped: WebGPU: ${reason}`);

const [BATCH, SEQ] = [2, 24];
const devices = ["cpu", "webgpu"] as const;

const largestDifference = (a: Float32Array, b: Float32Array): number =>
  a.reduce((most, value, i) => Math.max(most, Math.abs(value - b[i]!)), 0);

describe.skipIf(reason !== undefined).each(Object.keys(modelFamilies))("%s on WebGPU", (family) => {
  const architecture = parseArchitecture({
    model_type: family,
    vocab_size: 40,
    hidden_size: 16,
    intermediate_size: 24,
    num_hidden_layers: 3,
    num_attention_heads: 2,
    max_position_embeddings: 64,
    pad_token_id: 1,
    ...(family === "modernbert"
      ? { local_attention: 8 }
      : { hidden_dropout_prob: 0, attention_probs_dropout_prob: 0 }),
  });
  const { vocabSize } = architecture.config;
  const layout = layOut(architecture.family.parameters(architecture.config));
  const parameters = initialiseParameters(layout, 1).map((value) => 4 * value);
  const batch = {
    inputIds: Int32Array.from({ length: BATCH * SEQ }, (_, i) => (i * 7 + i * i) % vocabSize),
    batch: BATCH,
    seq: SEQ,
    attentionMask: Uint8Array.from({ length: BATCH * SEQ }, (_, i) => (i < 40 ? 1 : 0)),
    positions: Int32Array.from({ length: 10 }, (_, i) => 4 * i),
  };

  test("logits and predictions", async () => {
    const results = [];
    for (const device of devices) {
      const model = await createMaskedLm(architecture, parameters, { threads: 1, device });
      const queries = { slots: [0, 3, 3], ids: [1, 2, 3] };
      results.push({
        logits: await model.logits(batch),
        predictions: await model.predict(batch),
        found: await model.logProbabilities(batch, queries),
      });
      await model.dispose();
    }
    const [cpu, gpu] = results as [(typeof results)[0], (typeof results)[0]];
    expect(new Set(cpu.logits).size).toBeGreaterThan(vocabSize);
    // Golden logits allow 1e-4.
    expect(largestDifference(gpu.logits, cpu.logits)).toBeLessThan(1e-4);
    expect([...gpu.predictions.ids]).toEqual([...cpu.predictions.ids]);
    expect(
      largestDifference(gpu.predictions.confidences, cpu.predictions.confidences),
    ).toBeLessThan(1e-5);
    gpu.found.forEach((value, i) => {
      expect(value).toBeCloseTo(cpu.found[i]!, 4);
    });
  });

  test("gradients", async () => {
    const found: Float32Array[] = [];
    for (const device of devices) {
      const gradient = new Float32Array(layout.size);
      const step = createTrainingStep({ architecture, parameters, gradient, threads: 1, device });
      await step.differentiate({
        ...batch,
        targets: batch.positions.map((position) => position % vocabSize),
        weights: new Float32Array(batch.positions.length).fill(0.1),
      });
      await step.dispose();
      found.push(gradient);
    }
    const [cpu, gpu] = found as [Float32Array, Float32Array];
    const norm = (values: Float32Array): number => Math.hypot(...values);
    expect(norm(cpu)).toBeGreaterThan(0);
    // The golden tolerance of gradients.
    expect(norm(gpu.map((value, i) => value - cpu[i]!)) / norm(cpu)).toBeLessThan(1e-4);
  });
});
