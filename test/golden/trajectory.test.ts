/** @file 50 optimizer steps against the reference Trainer, with injected randomness. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { alphaSchedules } from "../../src/diffusion/alpha-schedule.js";
import { positionWeights } from "../../src/diffusion/loss.js";
import { maskBatch, sampleTimestep } from "../../src/diffusion/masking.js";
import { readModel } from "../../src/model/model-directory.js";
import { layOut, viewsOf } from "../../src/model/parameters.js";
import { modelFamilies } from "../../src/model/registry.js";
import { readSafetensors, toFloat32 } from "../../src/model/safetensors.js";
import { createLrSchedule } from "../../src/train/lr-schedule.js";
import {
  adamWStep,
  clipFactor,
  createAdamWState,
  gradientNorm,
} from "../../src/train/optimizer.js";
import { createTrainingStep } from "../../src/train/training-step.js";
import { testEngine } from "../support/engine.js";
import { goldenDirectory, printGolden } from "../support/golden.js";

const golden = goldenDirectory();
const variants = ["default", "sequence_norm", "weight_decay_0.01", "weight_decay_0.5"];

interface Batches {
  steps: number;
  peak_lr: number;
  max_grad_norm: number;
  mask_id: number;
  batches: { input_ids: number[][]; labels: number[][]; u_t: number[]; u_mask: number[][] }[];
}

interface Trajectory {
  weight_decay: number;
  loss_norm_type: "token" | "sequence";
  loss: number[];
  grad_norm: number[];
  learning_rate: number[];
  final: Record<string, { norm: number; mean: number; first: number[] }>;
}

const norm = (values: Float32Array): number =>
  Math.sqrt(values.reduce((sum, value) => sum + value * value, 0));

/** Not every family has every variant; without the golden folder all are listed, and skipped. */
const trajectories = Object.keys(modelFamilies)
  .flatMap((family) => variants.map((variant) => ({ family, variant })))
  .filter(
    ({ family, variant }) =>
      !golden || existsSync(join(golden, "trajectory", `${family}.${variant}.json`)),
  );

describe.skipIf(!golden).each(trajectories)("$family $variant", ({ family, variant }) => {
  test("losses, norms, learning rates and final weights", async () => {
    const directory = join(golden!, "trajectory");
    const read = (name: string): unknown =>
      JSON.parse(readFileSync(join(directory, `${family}.${name}.json`), "utf8"));
    const { batches, peak_lr, max_grad_norm, mask_id } = read("batches") as Batches;
    const expected = read(variant) as Trajectory;
    const { architecture, parameters } = await readModel(join(golden!, "models", family));
    const layout = layOut(architecture.family.parameters(architecture.config));
    const gradient = new Float32Array(layout.size);
    const step = createTrainingStep({ architecture, parameters, gradient, ...testEngine });
    const state = createAdamWState(layout);
    const schedule = alphaSchedules.linear;
    const lr = createLrSchedule(
      { learning_rate: peak_lr, lr_scheduler_type: "cosine", warmup_ratio: 0.1, warmup_steps: 0 },
      batches.length,
    );
    let worstLoss = 0;
    for (const [k, item] of batches.entries()) {
      const batch = {
        inputIds: Int32Array.from(item.input_ids.flat()),
        maskable: Uint8Array.from(item.labels.flat(), (label) => (label === -100 ? 0 : 1)),
        batch: item.input_ids.length,
        seq: item.input_ids[0]!.length,
      };
      const times = Float32Array.from(item.u_t, (u) => sampleTimestep(u, 1e-3));
      const { noisedIds, positions, targets } = maskBatch({
        batch,
        times,
        uniforms: Float32Array.from(item.u_mask.flat()),
        schedule,
        maskId: mask_id,
      });
      const weights = positionWeights({
        ...batch,
        positions,
        times,
        schedule,
        lossWeightType: "scheduler",
        lossNormType: expected.loss_norm_type,
      });
      const nll = await step.differentiate({
        ...batch,
        inputIds: noisedIds,
        positions,
        targets,
        weights,
      });
      const loss = nll.reduce((sum, value, i) => sum + value * weights[i]!, 0);
      const gradNorm = gradientNorm(gradient);
      worstLoss = Math.max(worstLoss, Math.abs(loss / expected.loss[k]! - 1));
      expect(Math.abs(gradNorm / expected.grad_norm[k]! - 1), `norm ${k}`).toBeLessThan(1e-3);
      expect(Math.abs(lr.at(k) - expected.learning_rate[k]!)).toBeLessThan(1e-12);
      adamWStep({
        layout,
        parameters,
        gradient,
        gradientScale: clipFactor(gradNorm, max_grad_norm),
        state,
        learningRate: lr.at(k),
        settings: {
          adam_beta1: 0.9,
          adam_beta2: 0.999,
          adam_epsilon: 1e-8,
          weight_decay: expected.weight_decay,
        },
      });
    }
    await step.dispose();
    // Tolerance of golden/trajectory/README.md: at least 1e-5, relative.
    expect(worstLoss).toBeLessThan(1e-5);
    printGolden(`trajectory ${family} ${variant}, loss`, batches.length, worstLoss);

    const views = viewsOf(layout, parameters);
    for (const [name, figures] of Object.entries(expected.final)) {
      if (name.endsWith("attention.self.key.bias")) continue; // zero gradient: rounding noise
      expect(Math.abs(norm(views.get(name)!) / figures.norm - 1), name).toBeLessThan(1e-5);
    }
    if (variant !== "default") return;
    const { tensors } = await readSafetensors(
      join(directory, `${family}.default.final.safetensors`),
    );
    let worst = 0;
    for (const [name, tensor] of tensors) {
      if (name.endsWith("attention.self.key.bias")) continue;
      const final = toFloat32(tensor);
      const error = norm(views.get(name)!.map((value, i) => value - final[i]!)) / norm(final);
      worst = Math.max(worst, error);
      expect(error, name).toBeLessThan(1e-5);
    }
    printGolden(`trajectory ${family}, final weights`, tensors.size, worst);
  });
});
