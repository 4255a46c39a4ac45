/**
 * @file Stratified mask counts of the likelihood estimator.
 * Source: ZHZisZZ/dllm@ca17675 dllm/core/eval/mdlm.py, MDLMEvalHarness._forward_process.
 */
import { roundHalfToEven } from "../base/rounding.js";

/**
 * Returns how many of `targetLength` tokens each of `strata` copies masks: integers in
 * 1..targetLength, spread evenly from `first`, which is uniform in the same range.
 *
 * DIFFERS: halves are exact. The reference's are where `strata` is a power of two; elsewhere its
 * float32 torch.linspace may land beside a half. Covered by test/evaluate/monte-carlo-likelihood.test.ts.
 */
export function maskCounts(targetLength: number, strata: number, first: number): number[] {
  return Array.from({ length: strata }, (_, copy) => {
    const count = roundHalfToEven(first + (copy * targetLength) / strata);
    return ((count - 1) % targetLength) + 1;
  });
}
