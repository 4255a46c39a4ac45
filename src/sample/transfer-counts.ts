/**
 * @file How many tokens each denoising step reveals.
 * Source: ZHZisZZ/dllm@ca17675 dllm/core/samplers/utils.py, get_num_transfer_tokens.
 */
import { roundHalfToEven } from "../base/rounding.js";
import { reverseMaskProbability, type AlphaSchedule } from "../diffusion/alpha-schedule.js";

/** Draws the number of successes among `count` trials of probability `probability`. */
export type BinomialDraw = (count: number, probability: number) => number;

export interface TransferCountInputs {
  /** Masked tokens at the start, at least 0. */
  masks: number;
  /** Steps to reveal them in, at least 1. */
  steps: number;
  schedule: AlphaSchedule;
  /** Draw the counts instead of rounding their expectation. */
  binomial?: BinomialDraw;
}

/**
 * Returns the transfer count of each step: positive integers that sum to `masks`. Steps that
 * would reveal nothing are left out, so there may be fewer than `steps`.
 */
export function transferCounts({
  masks,
  steps,
  schedule,
  binomial,
}: TransferCountInputs): number[] {
  const counts: number[] = [];
  let left = masks;
  for (let step = 0; step < steps && left > 0; step++) {
    const t = (steps - step) / steps;
    const s = (steps - step - 1) / steps;
    // The probability is float32, the product with the count is not: both decide roundings.
    const probability = 1 - reverseMaskProbability(schedule, s, t);
    const wanted = binomial ? binomial(left, probability) : roundHalfToEven(left * probability);
    const count = Math.min(wanted, left);
    left -= count;
    if (count > 0) counts.push(count);
  }
  return counts;
}
