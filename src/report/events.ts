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
  | {
      event: "run-started";
      run: string;
      directory: string;
      /** Those that this run is to bring up to date. */
      stages: readonly StageSummary[];
      /** Of a sweep: how many trials it has. */
      trials?: number;
    }
  | { event: "stage-reused"; stage: string; reason: string; fingerprint: string }
  | {
      event: "stage-started";
      stage: string;
      fingerprint: string;
      attempt: number;
      pid: number;
      threads: number;
      gpus: readonly string[];
    }
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
  /** An attempt failed in a way that another may not; the pause before it. */
  | {
      event: "stage-retrying";
      stage: string;
      reason: FailureReason;
      message: string;
      delaySeconds: number;
      retriesLeft: number;
    }
  /** It will not run: what it needs has failed, or its trials were stopped. */
  | { event: "stage-skipped"; stage: string; because: string }
  /** No progress for so long that it is stopped; what its threads did is in out.log. */
  | { event: "stage-stalled"; stage: string; seconds: number }
  /** Processes that an attempt left running after its end. */
  | {
      event: "leftovers-killed";
      stage: string;
      processes: readonly { pid: number; command: string }[];
    }
  /** out.log had grown too large; its end is in out.log.1. */
  | { event: "log-cut"; stage: string; droppedBytes: number }
  | { event: "checkpoint-requested"; stage: string }
  | {
      event: "trial-stopped-early";
      trial: string;
      rung: number;
      metric: string;
      value: number | string;
      rank: number;
      reached: number;
    }
  | { event: "trial-finished"; trial: string; status: TrialStatus }
  | { event: "warning"; message: string }
  | {
      event: "stage-stopped";
      stage: string;
      seconds: number;
      checkpointStep: number | null;
      /** It did not stop by itself in time and was killed. */
      ranOutOfGrace?: boolean;
    }
  | { event: "stop-requested"; signal: string; stage: string | null }
  | { event: "kill-requested"; signal: string; stage: string | null }
  | {
      event: "run-finished";
      status: "ok" | "failed" | "stopped";
      exitCode: number;
      seconds: number;
      ran: readonly string[];
      reused: readonly string[];
      failed: readonly string[];
      skipped: readonly string[];
    };

/** `unfinished`: the run ended before it. */
export type TrialStatus = "finished" | "failed" | "stopped_early" | "unfinished";

/** Why a stage failed, for programs: whether another attempt can help depends on it. */
export type FailureReason =
  | "invalid_data"
  | "diverged"
  | "oom"
  | "killed"
  | "preempted"
  | "timeout"
  | "stalled"
  | "incomplete_output"
  | "code_error"
  | "network"
  | "io_error"
  | "environment"
  | "cannot_start"
  | "failed";

export interface StageFailure {
  stage: string;
  reason: FailureReason;
  exitCode: number;
  message: string;
  details: readonly string[];
  /** The most memory it was seen to have, where that is known. */
  peakRssBytes?: number;
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
