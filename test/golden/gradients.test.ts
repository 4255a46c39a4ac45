/** @file Loss and every parameter's gradient against the reference, with injected t and masks. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { alphaSchedules } from "../../src/diffusion/alpha-schedule.js";
import { positionWeights } from "../../src/diffusion/loss.js";
import { maskBatch, sampleTimestep } from "../../src/diffusion/masking.js";
import { readModel } from "../../src/model/model-directory.js";
import { layOut, viewsOf } from "../../src/model/parameters.js";
import { modelFamilies } from "../../src/model/registry.js";
import { readSafetensors, toFloat32 } from "../../src/model/safetensors.js";
import { createTrainingStep } from "../../src/train/training-step.js";
import { testEngine } from "../support/engine.js";
import { goldenDirectory, printGolden } from "../support/golden.js";

const golden = goldenDirectory();

interface GradientCase {
  input_ids: number[][];
  labels: number[][];
  attention_mask: number[][] | null;
  u_t: number[];
  u_mask: number[][];
  losses: {
    schedule: "linear" | "cosine";
    weight: "scheduler" | "uniform";
    norm: "token" | "sequence" | "batch";
    loss: number;
  }[];
}

interface GradientFile {
  mask_id: number;
  time_epsilon: number;
  cases: Record<string, GradientCase>;
}

const norm = (values: Float32Array): number =>
  Math.sqrt(values.reduce((sum, value) => sum + value * value, 0));

const whole = Object.keys(modelFamilies).map((family) => ({
  family,
  variant: family,
  blocks: false,
}));
// The texts are shorter than those for which blocks are meant; other engines have none.
const inBlocks = { family: "modernbert", variant: "modernbert, windows in blocks,", blocks: true };
const { engine, device } = testEngine;
const variants = engine === "onnx" && device === "cpu" ? [...whole, inBlocks] : whole;

describe.skipIf(!golden).each(variants)("$variant gradients", ({ family, variant, blocks }) => {
  test("12 losses and all gradients per case", async () => {
    const directory = join(golden!, "gradients");
    const text = readFileSync(join(directory, `${family}.json`), "utf8");
    const file = JSON.parse(text) as GradientFile;
    const model = await readModel(join(golden!, "models", family));
    const { parameters } = model;
    const architecture = {
      ...model.architecture,
      family: { ...model.architecture.family, ...(blocks && { windowBlocksFrom: () => 1 }) },
    };
    const layout = layOut(architecture.family.parameters(architecture.config));
    const gradient = new Float32Array(layout.size);
    const step = createTrainingStep({ architecture, parameters, gradient, ...testEngine });
    let worstLoss = 0;
    let worstGradient = 0;
    for (const [name, item] of Object.entries(file.cases)) {
      const batch = {
        inputIds: Int32Array.from(item.input_ids.flat()),
        maskable: Uint8Array.from(item.labels.flat(), (label) => (label === -100 ? 0 : 1)),
        batch: item.input_ids.length,
        seq: item.input_ids[0]!.length,
      };
      const times = Float32Array.from(item.u_t, (u) => sampleTimestep(u, file.time_epsilon));
      for (const combination of item.losses) {
        const schedule = alphaSchedules[combination.schedule];
        const { noisedIds, positions, targets } = maskBatch({
          batch,
          times,
          uniforms: Float32Array.from(item.u_mask.flat()),
          schedule,
          maskId: file.mask_id,
        });
        const weights = positionWeights({
          ...batch,
          positions,
          times,
          schedule,
          lossWeightType: combination.weight,
          lossNormType: combination.norm,
        });
        const nll = await step.differentiate({
          ...batch,
          ...(item.attention_mask && {
            attentionMask: Uint8Array.from(item.attention_mask.flat()),
          }),
          inputIds: noisedIds,
          positions,
          targets,
          weights,
        });
        const loss = nll.reduce((sum, value, i) => sum + value * weights[i]!, 0);
        const difference = Math.abs(loss / combination.loss - 1);
        worstLoss = Math.max(worstLoss, difference);
        expect(difference, `${name} ${JSON.stringify(combination)}`).toBeLessThan(1e-5);

        const { schedule: s, weight: w, norm: n } = combination;
        if (s !== "linear" || w !== "scheduler" || n !== "token") continue;
        const path = join(directory, `${family}.${name}.grad.safetensors`);
        const { tensors } = await readSafetensors(path);
        const views = viewsOf(layout, gradient);
        expect([...views.keys()].sort()).toEqual([...tensors.keys()].sort());
        for (const [parameter, tensor] of tensors) {
          const expected = toFloat32(tensor);
          const actual = views.get(parameter)!;
          if (parameter.endsWith("attention.self.key.bias")) {
            // Mathematically zero (a shift of all keys cancels in the softmax): both sides hold
            // rounding noise, which is compared with the size of a gradient beside it.
            const query = norm(views.get(parameter.replace("self.key", "self.query"))!);
            expect(norm(actual), `${name} ${parameter}`).toBeLessThan(2e-6 * query);
            continue;
          }
          const size = norm(expected);
          const error = norm(actual.map((value, i) => value - expected[i]!));
          // Tolerance of golden/gradients/README.md.
          const relative = size > 1e-6 ? error / size : error * 100;
          worstGradient = Math.max(worstGradient, relative);
          expect(relative, `${name} ${parameter}`).toBeLessThanOrEqual(1e-4);
        }
      }
    }
    await step.dispose();
    const cases = Object.keys(file.cases).length;
    expect(cases).toBeGreaterThanOrEqual(4);
    printGolden(`losses ${variant}`, 12 * cases, worstLoss);
    printGolden(`gradients ${variant}`, cases * layout.slots.length, worstGradient);
  });
});
