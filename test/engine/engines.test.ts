/**
 * @file Predictions and gradients of every engine and device against ONNX Runtime on the CPU.
 * WebGPU without a GPU: libvulkan1, and SwiftShader of Debian's chromium-common by VK_ICD_FILENAMES.
 */
import { describe, expect, test } from "vitest";
import { reasonAgainst } from "../../src/engine/probe.js";
import type { EngineOptions } from "../../src/engine/session.js";
import { loadTfjs, tfjsPackages } from "../../src/engine/tfjs/backend.js";
import { createMaskedLm } from "../../src/model/masked-lm.js";
import { initialiseParameters, layOut } from "../../src/model/parameters.js";
import { modelFamilies, parseArchitecture } from "../../src/model/registry.js";
import { createTrainingStep } from "../../src/train/training-step.js";

const reason = await reasonAgainst("webgpu");
const noAdapter = reason?.includes("Failed to get a WebGPU adapter") ?? false;
if (noAdapter) console.warn(`skipped: WebGPU: ${reason}`);

const [BATCH, SEQ] = [2, 24];
const reference: EngineOptions = { threads: 1 };
const modes: { name: string; options: EngineOptions; skipped: boolean }[] = [
  // Any other reason is a failure.
  { name: "WebGPU", options: { threads: 1, device: "webgpu" }, skipped: noAdapter },
  { name: "tfjs", options: { threads: 1, engine: "tfjs" }, skipped: false },
];
const cases = modes.flatMap((mode) =>
  Object.keys(modelFamilies).map((family) => ({ ...mode, family })),
);

const largestDifference = (a: Float32Array, b: Float32Array): number =>
  a.reduce((most, value, i) => Math.max(most, Math.abs(value - b[i]!)), 0);

describe.each(cases)("$family on $name", ({ family, options, skipped }) => {
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

  test.skipIf(skipped)("logits and predictions", async () => {
    const results = [];
    for (const engine of [reference, options]) {
      const model = await createMaskedLm(architecture, parameters, engine);
      const queries = { slots: [0, 3, 3], ids: [1, 2, 3] };
      results.push({
        logits: await model.logits(batch),
        predictions: await model.predict(batch),
        found: await model.logProbabilities(batch, queries),
      });
      await model.dispose();
    }
    const [cpu, other] = results as [(typeof results)[0], (typeof results)[0]];
    expect(new Set(cpu.logits).size).toBeGreaterThan(vocabSize);
    // Golden logits allow 1e-4.
    expect(largestDifference(other.logits, cpu.logits)).toBeLessThan(1e-4);
    expect([...other.predictions.ids]).toEqual([...cpu.predictions.ids]);
    expect(
      largestDifference(other.predictions.confidences, cpu.predictions.confidences),
    ).toBeLessThan(1e-5);
    other.found.forEach((value, i) => {
      expect(value).toBeCloseTo(cpu.found[i]!, 4);
    });
  });

  test.skipIf(skipped)("gradients", async () => {
    const found: Float32Array[] = [];
    for (const engine of [reference, options]) {
      const gradient = new Float32Array(layout.size);
      const step = createTrainingStep({ architecture, parameters, gradient, ...engine });
      await step.differentiate({
        ...batch,
        targets: batch.positions.map((position) => position % vocabSize),
        weights: new Float32Array(batch.positions.length).fill(0.1),
      });
      await step.dispose();
      found.push(gradient);
    }
    const [cpu, other] = found as [Float32Array, Float32Array];
    const norm = (values: Float32Array): number => Math.hypot(...values);
    expect(norm(cpu)).toBeGreaterThan(0);
    // The golden tolerance of gradients.
    expect(norm(other.map((value, i) => value - cpu[i]!)) / norm(cpu)).toBeLessThan(1e-4);
  });
});

describe("loadTfjs", () => {
  const absent = (name: string): Promise<never> =>
    Promise.reject(
      Object.assign(new Error(`Cannot find package '${name}'`), { code: "ERR_MODULE_NOT_FOUND" }),
    );
  const gpuPackage = (isUsingGpuDevice: boolean) => () =>
    Promise.resolve({
      default: { ready: () => Promise.resolve(), backend: () => ({ isUsingGpuDevice }) },
    });

  test("takes the fastest package that is installed", async () => {
    const tried: string[] = [];
    const loaded = await loadTfjs("cpu", (name) => {
      tried.push(name);
      return name === "@tensorflow/tfjs-node" ? gpuPackage(false)() : absent(name);
    });
    expect(loaded.packageName).toBe("@tensorflow/tfjs-node");
    expect(tried).toEqual(tfjsPackages.slice(0, 2));
  });

  test("a GPU that was asked for and is not used is an error", async () => {
    const { packageName } = await loadTfjs("cuda", gpuPackage(true));
    expect(packageName).toBe("@tensorflow/tfjs-node-gpu");
    await expect(loadTfjs("cuda", gpuPackage(false))).rejects.toThrow(
      "@tensorflow/tfjs-node-gpu computes on the CPU, but a GPU was asked for",
    );
    await expect(loadTfjs("cuda", absent)).rejects.toThrow("none of @tensorflow/tfjs-node-gpu");
    await expect(loadTfjs("webgpu", absent)).rejects.toThrow("no WebGPU");
  });

  test("a package that is installed but broken is an error, not passed over", async () => {
    const broken = () => Promise.reject(new Error("libtensorflow.so.2: no such file"));
    await expect(loadTfjs("cpu", broken)).rejects.toThrow(
      "@tensorflow/tfjs-node-gpu is installed but does not load: libtensorflow.so.2",
    );
  });
});
