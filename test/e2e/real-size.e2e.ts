/**
 * @file ModernBERT-large at its real size on this machine: its checkpoint is written, loaded,
 * runs forward, takes one optimizer step, and the step lowers the loss of its batch.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { createMaskedLm } from "../../src/model/masked-lm.js";
import { readModel, writeModel } from "../../src/model/model-directory.js";
import { initialiseParameters, layOut } from "../../src/model/parameters.js";
import { modelFamilies, parseArchitecture } from "../../src/model/registry.js";
import { modelConfigDefaults } from "../../src/recipe/model-fields.js";
import {
  adamWStep,
  clipFactor,
  createAdamWState,
  gradientNorm,
} from "../../src/train/optimizer.js";
import { weightedSum } from "../../src/train/step-batches.js";
import { createTrainingStep } from "../../src/train/training-step.js";

const [batch, seq, threads] = [1, 128, 2];
const ids = {
  ...{ vocabSize: 50368, padId: 50283, bosId: 50283, eosId: 50283 },
  ...{ clsId: 50281, sepId: 50282 },
};
const maskId = 50284;

async function timed<T>(title: string, work: () => Promise<T>): Promise<T> {
  const start = performance.now();
  const result = await work();
  const seconds = ((performance.now() - start) / 1000).toFixed(1);
  const peak = (process.resourceUsage().maxRSS / 2 ** 20).toFixed(1);
  console.log(`${title.padEnd(36)} ${seconds.padStart(6)} s   peak RSS ${peak.padStart(5)} GiB`);
  return result;
}

test("ModernBERT-large: load, forward, one optimizer step", async () => {
  const directory = mkdtempSync(join(tmpdir(), "dllm-large-"));
  try {
    const json = modelFamilies.modernbert.completeConfig(
      modelConfigDefaults("modernbert", "modernbert-large"),
      ids,
    );
    const fresh = parseArchitecture(json);
    const layout = layOut(fresh.family.parameters(fresh.config));
    expect(layout.size).toBe(395_881_664);
    await timed("initialise and write the checkpoint", async () => {
      await writeModel(directory, fresh, initialiseParameters(layout, 1));
    });
    const { architecture, parameters } = await timed("load it", () => readModel(directory));

    const original = Int32Array.from({ length: seq }, (_, i) => (i * 7919 + 13) % 50_000);
    const positions = Int32Array.from({ length: seq / 2 }, (_, i) => 2 * i + 1);
    const noised = original.map((id, i) => (i % 2 === 1 ? maskId : id));
    const input = { inputIds: noised, batch, seq, positions };
    const model = await createMaskedLm(architecture, parameters, { threads });
    const compiled = await timed("compile and run forward", () => model.logits(input));
    const again = await timed("forward", () => model.logits(input));
    expect(Buffer.compare(Buffer.from(again.buffer), Buffer.from(compiled.buffer))).toBe(0);
    expect(again.every(Number.isFinite)).toBe(true);
    await model.dispose();

    const gradient = new Float32Array(layout.size);
    const step = createTrainingStep({ architecture, parameters, gradient, threads });
    const micro = {
      ...input,
      targets: positions.map((position) => original[position]!),
      weights: new Float32Array(positions.length).fill(1 / positions.length),
    };
    const loss = (nll: Float32Array): number => weightedSum(micro.weights, nll);
    const before = loss(
      await timed("compile and run forward, backward", () => step.differentiate(micro)),
    );
    expect(loss(await timed("forward, backward", () => step.differentiate(micro)))).toBe(before);
    // A random model is near the uniform distribution over 50368 tokens: ln 50368 = 10.8.
    expect(before).toBeGreaterThan(10);
    expect(before).toBeLessThan(12);
    const state = createAdamWState(layout);
    const optimize = (): Promise<void> => {
      const norm = gradientNorm(gradient);
      expect(Number.isFinite(norm) && norm > 0).toBe(true);
      adamWStep({
        layout,
        parameters,
        gradient,
        gradientScale: clipFactor(norm, 1),
        state,
        learningRate: 1e-4,
        settings: { adam_beta1: 0.9, adam_beta2: 0.999, adam_epsilon: 1e-8, weight_decay: 0 },
      });
      return Promise.resolve();
    };
    await timed("AdamW step, touching new memory", optimize);
    await timed("AdamW step", optimize);
    const after = loss(await timed("evaluate after it", () => step.evaluate(micro)));
    await step.dispose();
    console.log(`loss ${before.toFixed(4)} -> ${after.toFixed(4)}`);
    expect(after).toBeLessThan(before);
    expect(process.resourceUsage().maxRSS / 2 ** 20).toBeLessThan(24);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
});
