/** @file Everything that can end a run before its end: the user, a time limit, a failure of ours. */
import { setMaxListeners } from "node:events";
import { startActiveTimer } from "../base/active-time.js";
import type { StopRequests } from "./stop-ladder.js";

export interface RunRequests extends StopRequests {
  stop: AbortSignal;
  kill: AbortSignal;
  timedOut(): boolean;
  /** Stops the run in order because of an error that is not a stage's. */
  failWith(error: unknown): void;
  /** @throws the error of failWith */
  throwFailure(): void;
  end(): void;
}

/** Joins the requests of the user with a time limit. */
export function combineRequests({
  stop,
  kill,
  graceMs,
  timeoutMs,
}: StopRequests & { timeoutMs?: number }): RunRequests {
  const stopping = new AbortController();
  const killing = new AbortController();
  // Each running stage listens, and there may be any number of them.
  setMaxListeners(0, stopping.signal, killing.signal);
  const failures: unknown[] = [];
  let late = false;
  const onStop = () => stopping.abort(stop!.reason);
  const onKill = () => killing.abort(kill!.reason);
  stop?.addEventListener("abort", onStop);
  kill?.addEventListener("abort", onKill);
  if (stop?.aborted) onStop();
  if (kill?.aborted) onKill();
  const timer =
    timeoutMs === undefined
      ? undefined
      : startActiveTimer(timeoutMs, () => {
          late = true;
          stopping.abort("timeout");
        });
  return {
    stop: stopping.signal,
    kill: killing.signal,
    graceMs,
    timedOut: () => late,
    failWith(error) {
      failures.push(error);
      stopping.abort("an internal failure");
    },
    throwFailure() {
      if (failures.length > 0) throw failures[0];
    },
    end() {
      timer?.cancel();
      stop?.removeEventListener("abort", onStop);
      kill?.removeEventListener("abort", onKill);
    },
  };
}
