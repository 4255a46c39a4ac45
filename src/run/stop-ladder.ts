/** @file How a running stage is stopped: TERM, and KILL on the second request or after a grace. */
import { startActiveTimer, type ActiveTimer } from "../base/active-time.js";
import type { RunEvent } from "../report/events.js";

export interface StopRequests {
  /** Aborted with a signal's name: checkpoint and end. */
  stop?: AbortSignal | undefined;
  /** Aborted with a signal's name: end at once. */
  kill?: AbortSignal | undefined;
  /** How long a stage may take to checkpoint after a stop. */
  graceMs?: number | undefined;
}

// Longer than a checkpoint of a large model takes.
const GRACE_MS = 120_000;

export interface StopLadder {
  /** Stops this stage alone. */
  stopStage(): void;
  end(): void;
  /** Whether the run was asked to stop, and this stage with it. */
  requested(): boolean;
  /** Whether it had to be killed because it did not stop. */
  ranOutOfGrace(): boolean;
}

/** Applies stop requests to a stage process until end() is called. */
export function stopLadder(
  { stop, kill, graceMs = GRACE_MS }: StopRequests,
  stage: string,
  child: { terminate(): void; kill(): void },
  emit: (event: RunEvent) => void,
): StopLadder {
  let timer: ActiveTimer | undefined;
  let late = false;
  const stopStage = () => {
    // A second TERM would tell it to skip its checkpoint.
    if (timer !== undefined) return;
    child.terminate();
    timer = startActiveTimer(graceMs, () => {
      late = true;
      child.kill();
    });
  };
  const onStop = () => {
    emit({ event: "stop-requested", signal: String(stop?.reason), stage });
    stopStage();
  };
  const onKill = () => {
    emit({ event: "kill-requested", signal: String(kill?.reason), stage });
    child.kill();
  };
  stop?.addEventListener("abort", onStop);
  kill?.addEventListener("abort", onKill);
  // Asked before the listeners were there.
  if (kill?.aborted) onKill();
  else if (stop?.aborted) onStop();
  return {
    stopStage,
    end() {
      timer?.cancel();
      stop?.removeEventListener("abort", onStop);
      kill?.removeEventListener("abort", onKill);
    },
    requested: () => Boolean(stop?.aborted || kill?.aborted),
    ranOutOfGrace: () => late,
  };
}
