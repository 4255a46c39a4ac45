/** @file A stage from its first attempt to its end: failures that may pass are tried again. */
import { setTimeout as delay } from "node:timers/promises";
import { DllmError } from "../base/errors.js";
import type { PlannedStage } from "../plan/stage.js";
import { checkpointStepOf, startAttempt, type Attempt, type AttemptWorld } from "./attempt.js";
import { failureOf, type StageOutcome } from "./judge-exit.js";
import { createRetries, type RetryPolicy } from "./retry.js";

export interface StageRun {
  ended: Promise<StageOutcome>;
  /** Asks it to save its state and go on. */
  checkpoint(): void;
  /** Stops it alone; it checkpoints. */
  stopStage(): void;
}

export interface StageRunOptions {
  threads: number;
  gpus: readonly string[];
  anew: boolean;
}

/** A process that cannot be started because of a shortage that may pass is started again so often. */
const STARTS = 3;

/** Runs a stage to its end. */
export function runStage(
  world: AttemptWorld & { retry: RetryPolicy },
  stage: PlannedStage,
  options: StageRunOptions,
): StageRun {
  const { store, emit, stop, kill } = world;
  const retries = createRetries(world.retry);
  const halted = new AbortController();
  // Ends the wait for the next attempt.
  const pause = new AbortController();
  let attempt: Attempt | undefined;
  let { anew } = options;
  let starts = 0;
  const isHalted = () => halted.signal.aborted || stop?.aborted || kill?.aborted;
  const endPause = () => pause.abort();
  for (const signal of [stop, kill]) signal?.addEventListener("abort", endPause);

  async function run(): Promise<StageOutcome> {
    for (;;) {
      attempt = await startAttempt(world, stage, { ...options, anew });
      if (halted.signal.aborted) attempt.stopStage();
      const { outcome, mayStartLater } = await attempt.ended;
      attempt = undefined;
      if (outcome.status !== "failed") return outcome;
      // What an earlier attempt has set aside must not be set aside again.
      anew = false;
      const { failure } = outcome;
      const step = checkpointStepOf(store, stage.fingerprint);
      const next =
        mayStartLater && ++starts < STARTS
          ? { delayMs: 1000 * starts * world.retry.random(), left: STARTS - starts }
          : retries.next(failure.reason, step);
      if (next === undefined || isHalted()) {
        emit({ event: "stage-failed", ...failure });
        return outcome;
      }
      const { reason, message } = failure;
      const delaySeconds = next.delayMs / 1000;
      const { id } = stage;
      emit({
        event: "stage-retrying",
        ...{ stage: id, reason, message, delaySeconds, retriesLeft: next.left },
      });
      await delay(next.delayMs, undefined, { signal: pause.signal }).catch(() => undefined);
      if (isHalted()) {
        emit({ event: "stage-stopped", stage: id, seconds: 0, checkpointStep: step });
        return { status: "stopped" };
      }
    }
  }

  return {
    ended: run()
      .catch((error: unknown): StageOutcome => {
        // Its directory cannot be written: a failure of this stage, others may be well.
        if (!(error instanceof DllmError)) throw error;
        const failure = failureOf(stage.id, error);
        emit({ event: "stage-failed", ...failure });
        return { status: "failed", failure };
      })
      .finally(() => {
        for (const signal of [stop, kill]) signal?.removeEventListener("abort", endPause);
      }),
    checkpoint: () => attempt?.checkpoint(),
    stopStage() {
      halted.abort();
      pause.abort();
      attempt?.stopStage();
    },
  };
}
