/**
 * @file What happens in a run, as data: the journal keeps these events (but for progress), the
 * terminal shows them, and `dllm run --json` prints them one per line.
 */
import type { JsonObject } from "../base/json.js";
import type { Progress, StageAction, StageKind } from "../plan/stage.js";

/** A stage as an observer of a run needs it. */
export interface StageSummary {
  id: string;
  kind: StageKind;
  action: StageAction;
  reason: string;
  fingerprint: string;
}

export type RunEvent =
  | { event: "run-started"; run: string; directory: string; stages: readonly StageSummary[] }
  | { event: "stage-reused"; stage: string; reason: string; fingerprint: string }
  | { event: "stage-started"; stage: string; fingerprint: string; attempt: number; pid: number }
  | { event: "stage-resumed"; stage: string; step: number }
  | { event: "stage-waiting"; stage: string; holder: string }
  | ({ event: "stage-progress"; stage: string } & Progress)
  | { event: "checkpoint-started"; stage: string; step: number }
  | { event: "checkpoint-published"; stage: string; step: number }
  /** A damaged file was set aside and what it held is computed again. */
  | { event: "quarantined"; stage: string; path: string; movedTo: string; problem: string }
  | {
      event: "stage-finished";
      stage: string;
      seconds: number;
      peakRssBytes: number;
      artifact: string;
      metrics: JsonObject;
    }
  | ({ event: "stage-failed" } & StageFailure)
  | { event: "stage-stopped"; stage: string; seconds: number; checkpointStep: number | null }
  | { event: "stop-requested"; signal: string; stage: string | null }
  | { event: "kill-requested"; signal: string; stage: string | null }
  | {
      event: "run-finished";
      status: "ok" | "failed" | "stopped";
      exitCode: number;
      seconds: number;
      ran: readonly string[];
      reused: readonly string[];
    };

export type FailureReason = "failed" | "killed" | "incomplete_output" | "cannot_start";

export interface StageFailure {
  stage: string;
  reason: FailureReason;
  exitCode: number;
  message: string;
  details: readonly string[];
}

/** An event with its time, as it is written: UTC, and monotonic seconds since the run started. */
export type StampedEvent = { time: string; elapsed_s: number } & RunEvent;

export type EventSink = (event: StampedEvent) => void;

/** What to do with the kinds of event that matter to somebody. */
export type EventHandlers<T> = {
  [E in StampedEvent as E["event"]]?: (event: E) => T;
};

/** Returns what the handler of the event returns, or undefined where there is none. */
export function handleEvent<T>(event: StampedEvent, handlers: EventHandlers<T>): T | undefined {
  const handler = handlers[event.event] as ((event: StampedEvent) => T) | undefined;
  return handler?.(event);
}
