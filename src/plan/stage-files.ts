/**
 * @file What is in a stage's working directory, and how its process reports to the executor.
 * Names and types only: executor and stage process agree here.
 */
import type { Progress, StageKind, StageResult } from "./stage.js";

/** Names in a stage's working directory `runs/.store/stages/<fingerprint>`. */
export const stageFiles = {
  spec: "spec.json",
  log: "out.log",
  /** Inode, size and times of the output's files when they were last verified. */
  verified: "verified.json",
  metrics: "metrics.jsonl",
  tornMetrics: "metrics.torn",
  checkpoints: "checkpoints",
  output: "output",
  /** The result, complete but for the artifact's hash, just before the artifact is published. */
  pendingResult: "pending.json",
  result: "result.json",
  error: "error.json",
  lock: "lock",
} as const;

/** What a stage process sends over its IPC channel. */
export type StageMessage =
  | { type: "started"; attempt: number; resumedStep?: number }
  /** Another process computes the same stage; it is waited for. */
  | { type: "waiting"; holder: string }
  | { type: "progress"; progress: Progress }
  | { type: "checkpoint-started"; step: number }
  | { type: "checkpoint-published"; step: number }
  /** A damaged file was renamed to `movedTo`. */
  | { type: "quarantined"; path: string; movedTo: string; problem: string }
  /** Processes of an earlier attempt were found and killed. */
  | { type: "leftovers-killed"; processes: readonly { pid: number; command: string }[] };

/** What the executor sends to a stage process. */
export type ExecutorMessage = { type: "checkpoint" };

/** `error.json`: why the attempt failed. */
export interface StageError {
  schema: 1;
  attempt: number;
  exitCode: number;
  /** The fine-grained code; absent where the stage itself cannot tell more than the exit code. */
  reason?: string;
  message: string;
  details: readonly string[];
  /** The most memory that its process was seen to have. */
  peakRssBytes?: number;
}

/** `pending.json`: a result that lacks only the hash of the artifact. */
export type PendingResult = Omit<StageResult, "artifact">;

/**
 * Returns a value read from `result.json` if it is the result of this fingerprint.
 * A newer or foreign schema, or a torn or edited file, is no result.
 */
export function asStageResult(value: unknown, fingerprint: string): StageResult | undefined {
  const result = value as Partial<StageResult> | null;
  const complete =
    typeof result === "object" &&
    result !== null &&
    result.schema === 1 &&
    result.reason === "ok" &&
    result.fingerprint === fingerprint &&
    typeof result.id === "string" &&
    typeof (result.kind satisfies StageKind | undefined) === "string" &&
    typeof result.durationSeconds === "number" &&
    typeof result.totalSeconds === "number" &&
    typeof result.artifact === "string" &&
    typeof result.metrics === "object" &&
    result.metrics !== null;
  return complete ? (result as StageResult) : undefined;
}
