/**
 * @file Alpha schedules: probability that a token is unmasked at time t, from t = 0 (clean) to
 * t = 1 (fully masked). Source: arXiv:2406.07524; ZHZisZZ/dllm@ca17675 dllm/core/schedulers/alpha.py.
 *
 * The reference computes on float32 tensors, and which token is masked or how many are revealed
 * depends on the last bit. So every operation here is rounded to float32.
 */
import type { AlphaScheduleName } from "../recipe/schema.js";

export interface AlphaSchedule {
  /** Returns a float32 in [0, 1]. @throws RangeError when t is outside [0, 1]. */
  alpha(t: number): number;
  /** d alpha / dt, a float32, never positive. @throws RangeError when t is outside [0, 1]. */
  derivative(t: number): number;
}

const f32 = Math.fround;
const HALF_PI = f32(Math.PI / 2);

function checkedTime(t: number): number {
  if (t >= 0 && t <= 1) return f32(t);
  throw new RangeError(`alpha schedule: t is ${t}, expected a number in [0, 1]`);
}

/** pi/2 (1 - t) in float32. */
const quarterTurn = (t: number): number => f32(HALF_PI * f32(1 - checkedTime(t)));

export const alphaSchedules = {
  linear: {
    alpha: (t) => f32(1 - checkedTime(t)),
    derivative: (t) => (checkedTime(t), -1),
  },
  cosine: {
    alpha: (t) => f32(1 - f32(Math.cos(quarterTurn(t)))),
    derivative: (t) => f32(-HALF_PI * f32(Math.sin(quarterTurn(t)))),
  },
} satisfies Record<AlphaScheduleName, AlphaSchedule>;

// Keeps the weight finite at t = 0; same constant as the reference.
const WEIGHT_EPSILON = f32(1e-6);

/** Returns the probability 1 - alpha(t) that a token is masked at time t, a float32 in [0, 1]. */
export function maskProbability(schedule: AlphaSchedule, t: number): number {
  return f32(1 - schedule.alpha(t));
}

/** Returns the loss weight -alpha'(t) / (1 - alpha(t)), a float32, for t in [0, 1]. */
export function lossWeight(schedule: AlphaSchedule, t: number): number {
  return f32(-schedule.derivative(t) / f32(maskProbability(schedule, t) + WEIGHT_EPSILON));
}

/**
 * Returns the probability that a token masked at time t is still masked at time s < t
 * on the way back, (1 - alpha(s)) / (1 - alpha(t)), a float32.
 * @throws RangeError unless 0 <= s < t <= 1.
 */
export function reverseMaskProbability(schedule: AlphaSchedule, s: number, t: number): number {
  if (!(s >= 0 && s < t && t <= 1)) {
    throw new RangeError(
      `reverseMaskProbability: s is ${s} and t is ${t}, expected 0 <= s < t <= 1`,
    );
  }
  return f32(maskProbability(schedule, s) / maskProbability(schedule, t));
}
