/** @file How a running stage is stopped: TERM, and KILL on the second request or after a grace. */
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

/**
 * Applies stop requests to a stage process until end() is called.
 * @returns also whether the stage was asked to stop
 */
export function stopLadder(
  { stop, kill, graceMs = GRACE_MS }: StopRequests,
  stage: string,
  child: { terminate(): void; kill(): void },
  emit: (event: RunEvent) => void,
): { end(): void; requested(): boolean } {
  let timer: NodeJS.Timeout | undefined;
  const onStop = () => {
    emit({ event: "stop-requested", signal: String(stop?.reason), stage });
    child.terminate();
    timer = setTimeout(() => child.kill(), graceMs);
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
    end() {
      clearTimeout(timer);
      stop?.removeEventListener("abort", onStop);
      kill?.removeEventListener("abort", onKill);
    },
    requested: () => Boolean(stop?.aborted || kill?.aborted),
  };
}
