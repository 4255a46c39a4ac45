/** @file Remaining time of a stage, from the progress seen so far. */
import type { Progress } from "../plan/stage.js";

export interface EtaEstimator {
  /** Takes a report and returns the seconds left, or undefined while that is a guess. */
  update(progress: Progress, nowMs: number): number | undefined;
}

// A rate over less time than this says more about start-up than about the work.
const SETTLING_MS = 2000;

/**
 * Returns an estimator for one attempt of a stage. It measures from the first report on, so
 * that what a resumed stage had done before does not count as speed.
 */
export function createEta(): EtaEstimator {
  let first: { done: number; atMs: number } | undefined;
  return {
    update({ done, total }, nowMs) {
      // A phase that starts over (another unit, another total) is measured anew.
      if (!first || done < first.done) first = { done, atMs: nowMs };
      if (total === undefined) return undefined;
      if (done >= total) return 0;
      const elapsedMs = nowMs - first.atMs;
      const advanced = done - first.done;
      if (elapsedMs < SETTLING_MS || advanced <= 0) return undefined;
      return ((total - done) * elapsedMs) / advanced / 1000;
    },
  };
}
