/** @file Which failures are tried again, how often, and after what pause. */
import type { FailureReason } from "../report/events.js";

// What is not here would fail in the same way: invalid data, divergence, too little memory, a bug.
const RETRYABLE: ReadonlySet<FailureReason> = new Set([
  "killed",
  "preempted",
  "network",
  "timeout",
]);

const BASE_MS = 1000;
const CAP_MS = 60_000;

export interface RetryPolicy {
  /** Retries of one stage without progress between them. */
  retries: number;
  /** First pause at most; it doubles up to a minute. */
  baseMs?: number;
  /** In [0, 1). */
  random: () => number;
}

export interface Retries {
  /**
   * Takes a failure and the step of the newest checkpoint.
   * @returns the pause before the next attempt and how many are left, or undefined: give up
   */
  next(
    reason: FailureReason,
    checkpointStep: number | null,
  ): { delayMs: number; left: number } | undefined;
}

/** Returns the retries of one stage. A checkpoint of a later step than before resets the count. */
export function createRetries({ retries, baseMs = BASE_MS, random }: RetryPolicy): Retries {
  let failures = 0;
  let lastStep: number | null | undefined;
  return {
    next(reason, checkpointStep) {
      if (!RETRYABLE.has(reason)) return undefined;
      if (lastStep !== undefined && (checkpointStep ?? -1) > (lastStep ?? -1)) failures = 0;
      lastStep = checkpointStep;
      if (failures >= retries) return undefined;
      failures++;
      // Full jitter: many stages that failed together must not return together.
      const delayMs = random() * Math.min(CAP_MS, baseMs * 2 ** (failures - 1));
      return { delayMs, left: retries - failures };
    },
  };
}
