/**
 * @file AdamW and gradient clipping over flat parameter buffers.
 * Source: arXiv:1711.05101; torch.optim.AdamW (torch 2.13) and torch.nn.utils.clip_grad_norm_.
 */
import type { ParameterLayout } from "../model/parameters.js";
import { updateRange } from "./adamw-kernel.js";
import { sumOfSquares } from "./norm-kernel.js";
import type { TrainingSettings } from "../recipe/schema.js";

/** Resumable state of AdamW: step count and moments, float32 [size] each. */
export interface AdamWState {
  step: number;
  firstMoment: Float32Array;
  secondMoment: Float32Array;
}

/** Returns the state of an optimizer that has taken no step. */
export function createAdamWState({ size }: ParameterLayout): AdamWState {
  return { step: 0, firstMoment: new Float32Array(size), secondMoment: new Float32Array(size) };
}

/** Returns the global L2 norm of a flat gradient. */
export function gradientNorm(gradient: Float32Array): number {
  return Math.sqrt(sumOfSquares(gradient));
}

/** Returns the factor that clips a gradient of the given norm; 1 when it is small enough. */
export function clipFactor(norm: number, maxNorm: number): number {
  // The reference clips unconditionally with this formula when max_grad_norm is above 0.
  return maxNorm > 0 ? Math.min(1, maxNorm / (norm + 1e-6)) : 1;
}

/**
 * Takes one AdamW step in place on `parameters` and `state`.
 * @param gradient float32 [size], multiplied by `gradientScale` (clipping) as it is read
 */
export function adamWStep({
  layout,
  parameters,
  gradient,
  gradientScale,
  state,
  learningRate,
  settings,
}: {
  layout: ParameterLayout;
  parameters: Float32Array;
  gradient: Float32Array;
  gradientScale: number;
  state: AdamWState;
  learningRate: number;
  settings: Pick<TrainingSettings, "adam_beta1" | "adam_beta2" | "adam_epsilon" | "weight_decay">;
}): void {
  const { adam_beta1: beta1, adam_beta2: beta2, adam_epsilon: epsilon } = settings;
  const { firstMoment, secondMoment } = state;
  state.step++;
  const factors = {
    gradientScale,
    beta1,
    beta2,
    stepSize: learningRate / (1 - beta1 ** state.step),
    correction: 1 / Math.sqrt(1 - beta2 ** state.step),
    epsilon,
  };
  const buffers = { gradient, parameters, firstMoment, secondMoment };
  for (const { spec, offset, length } of layout.slots) {
    const keep = spec.decays ? 1 - learningRate * settings.weight_decay : 1;
    updateRange([offset, offset + length], buffers, { ...factors, keep });
  }
}
