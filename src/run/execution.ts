/** @file What an execution of a plan is given and what comes of it. */
import type { JsonObject } from "../base/json.js";
import type { Plan } from "../plan/plan.js";
import type { StageResult } from "../plan/stage.js";
import type { EventSink, StageFailure, TrialStatus } from "../report/events.js";
import type { DiskNeed } from "./disk-check.js";
import type { SelectionOptions } from "./selection.js";
import type { StopRequests } from "./stop-ladder.js";
import type { Store } from "./store.js";

export interface Clock {
  /** Wall time, for people. */
  date(): Date;
  /** Monotonic milliseconds, for durations. */
  now(): number;
}

export const systemClock: Clock = { date: () => new Date(), now: () => performance.now() };

/** How a plan is executed; nothing of it changes what is computed. */
export interface ExecutionOptions extends SelectionOptions {
  /** Whether stages begin anew whose checkpoints are all damaged, instead of failing. */
  allowRestart?: boolean;
  /** Stages at a time. */
  jobs?: number;
  /** After a failure go on with what does not depend on it. Always so for the trials of a sweep. */
  keepGoing?: boolean;
  /** Retries of a stage after failures that may pass, without progress between them. */
  retries?: number;
  /** First pause before a retry, at most. */
  retryBaseMs?: number;
  /** Without a report for so long a stage is stopped; 0: never. */
  stallTimeoutMs?: number;
  /** The run is stopped after so long; its stages checkpoint. */
  timeoutMs?: number;
  /** CPU cores to share; those of this machine by default. */
  cores?: number;
  /** GPUs to share, as CUDA_VISIBLE_DEVICES names them. */
  gpus?: readonly string[];
  /** What the stages will write, where that is known, and whether to run without enough space. */
  disk?: { need: DiskNeed; force: boolean };
}

export const DEFAULTS = {
  jobs: 1,
  keepGoing: false,
  retries: 2,
  retryBaseMs: 1000,
  // Longer than compiling and the first step of a large model take.
  stallTimeoutMs: 30 * 60_000,
} satisfies ExecutionOptions;

export interface ExecutePlanInputs extends StopRequests, ExecutionOptions {
  plan: Plan;
  /** The resolved recipe, for `recipe.resolved.json`. */
  recipe: JsonObject;
  /** Absolute. */
  runsRoot: string;
  store: Store;
  /** Absolute path of the stage process's main module. */
  stageScript: string;
  emit: EventSink;
  clock?: Clock;
  /** Of this process; stages get the part that they need. */
  environment?: Readonly<Record<string, string | undefined>>;
  /** Registers what to do when a checkpoint is asked for. @returns how to end that */
  onCheckpointRequest?: (listener: () => void) => () => void;
}

/** Execution options with all defaults in place. */
export type SettledInputs = ExecutePlanInputs & Required<Pick<ExecutePlanInputs, Settled>>;
type Settled =
  "jobs" | "keepGoing" | "retries" | "retryBaseMs" | "stallTimeoutMs" | "cores" | "environment";

export interface RunOutcome {
  status: "ok" | "failed" | "stopped";
  exitCode: number;
  directory: string;
  ran: readonly string[];
  reused: readonly string[];
  /** Stages that cannot run, because others failed or their trials were stopped early. */
  skipped: readonly string[];
  /** Results of the finished stages by id. */
  results: Readonly<Record<string, StageResult>>;
  /** In the order in which they happened. */
  failures: readonly StageFailure[];
  /** Of a sweep: how its trials ended, by id. */
  trials?: Readonly<Record<string, TrialStatus>>;
}
