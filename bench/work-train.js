/** @file Our side of a training step: batch, loss and gradients, clipping, AdamW. */
import { layOut, initialiseParameters } from "../dist/model/parameters.js";
import { modelFamilies } from "../dist/model/registry.js";
import { adamWStep, clipFactor, createAdamWState, gradientNorm } from "../dist/train/optimizer.js";
import { createTrainingStep } from "../dist/train/training-step.js";
import { batchMaker } from "./batches.js";

const settings = { adam_beta1: 0.9, adam_beta2: 0.999, adam_epsilon: 1e-8, weight_decay: 0 };

/** Returns one repetition of the work; its first call compiles. */
export function prepare(work, { threads }) {
  const family = modelFamilies.modernbert;
  const json = { model_type: "modernbert", ...work.model };
  const architecture = { family, config: family.parseConfig(json) };
  const layout = layOut(family.parameters(architecture.config));
  const parameters = initialiseParameters(layout, 42);
  const gradient = new Float32Array(layout.size);
  const state = createAdamWState(layout);
  const step = createTrainingStep({ architecture, parameters, gradient, threads });
  const makeBatch = batchMaker(work);
  let count = 0;
  return async () => {
    const batch = makeBatch(count++);
    const nll = await step.differentiate(batch);
    const norm = gradientNorm(gradient);
    const gradientScale = clipFactor(norm, 1);
    const learningRate = 1e-4;
    adamWStep({ layout, parameters, gradient, gradientScale, state, learningRate, settings });
    let loss = 0;
    nll.forEach((value, i) => (loss += value * batch.weights[i]));
    return { loss, norm, masked: nll.length };
  };
}
