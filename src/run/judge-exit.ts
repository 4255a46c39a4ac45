/**
 * @file What became of a stage whose process ended. Done means: exit code 0, a valid result and
 * an output that verifies; never one of them alone.
 */
import { join } from "node:path";
import { ExitCode, errorCode, type DllmError } from "../base/errors.js";
import { readJson } from "../base/fs.js";
import { readEnd } from "../base/log-cap.js";
import { sanitize } from "../base/sanitize.js";
import { mayStartLater, startError } from "../base/start-error.js";
import { stageFiles, type StageError } from "../plan/stage-files.js";
import type { StageResult } from "../plan/stage.js";
import type { FailureReason, StageFailure } from "../report/events.js";
import { formatBytes, formatDuration } from "../report/format.js";
import { saysOutOfMemory } from "./memory-watch.js";
import type { ChildExit } from "./stage-process.js";
import type { Store } from "./store.js";

export type StageOutcome =
  | { status: "finished"; result: StageResult }
  /** On request of the run, or of its trials' early termination. */
  | { status: "stopped" }
  | { status: "failed"; failure: StageFailure };

export interface Ended {
  stage: string;
  fingerprint: string;
  attempt: number;
  exit: ChildExit;
  /** Whether the executor had asked it to stop. */
  stopRequested: boolean;
  /** Set when it was stopped for having stalled: after so many seconds. */
  stalledSeconds?: number;
  /** Whether the kernel has killed for lack of memory meanwhile. */
  oomKilled: boolean;
  peakRssBytes: number | undefined;
}

const LOG_LINES = 8;
const LOG_END_BYTES = 16_384;
const OOM_HINT =
  "lower per_device_train_batch_size (or eval.batch_size) and raise gradient_accumulation_steps; never repeated unchanged";

/** Reasons of exit codes, where the stage does not give a finer one. */
const REASONS: Readonly<Record<number, FailureReason>> = {
  [ExitCode.invalidInput]: "invalid_data",
  [ExitCode.notFound]: "invalid_data",
  [ExitCode.unavailable]: "network",
  [ExitCode.bug]: "code_error",
  [ExitCode.cannotCreate]: "io_error",
  [ExitCode.ioError]: "io_error",
  [ExitCode.noPermission]: "io_error",
  [ExitCode.environment]: "environment",
};

export function judgeExit(store: Store, ended: Ended): StageOutcome {
  const { fingerprint, exit, stopRequested, stalledSeconds, peakRssBytes } = ended;
  const directory = store.directory(fingerprint);
  const logPath = join(directory, stageFiles.log);
  const itsLog = `its log: ${logPath}`;
  const failed = (reason: FailureReason, message: string, details: readonly string[]) =>
    failure(ended, { reason, message, details });

  if (exit.how === "not-started") return notStarted(ended, exit.cause);
  // It may have finished just before it was stopped.
  if (exit.how === "exited" && exit.code === 0) {
    const result = store.finished(fingerprint);
    if (result) return { status: "finished", result };
    const found = store.problems.find((problem) => problem.fingerprint === fingerprint)?.problem;
    return failed("incomplete_output", "its process ended well but left no complete result", [
      found ?? `${join(directory, stageFiles.result)} is missing`,
      itsLog,
    ]);
  }
  const stopped = exit.how === "killed" || exit.code === ExitCode.temporary;
  if (stopped && stalledSeconds !== undefined) {
    const seconds = formatDuration(stalledSeconds);
    return failed("stalled", `it made no progress for ${seconds} and was stopped`, [
      `${itsLog} (with what its threads did)`,
      resumeHint(store, fingerprint),
      "--stall-timeout sets how long is too long",
    ]);
  }
  if (stopped && stopRequested) return { status: "stopped" };
  const end = readEnd(logPath, LOG_END_BYTES);
  const peak = peakRssBytes === undefined ? "" : ` (it had ${formatBytes(peakRssBytes)} at most)`;
  if (exit.how === "killed") {
    const isKill = exit.signal === "SIGKILL";
    if ((isKill && ended.oomKilled) || (!isKill && saysOutOfMemory(end))) {
      return failed("oom", `it ran out of memory${peak}`, [OOM_HINT, itsLog]);
    }
    const hint = `if the machine ran out of memory, ${OOM_HINT.split(";")[0]}`;
    return failed("killed", `its process was killed by ${exit.signal}`, [
      ...(isKill ? [hint] : []),
      resumeHint(store, fingerprint),
    ]);
  }
  if (exit.code === ExitCode.temporary) {
    return failure(ended, {
      reason: "preempted",
      message: "its process was asked to stop, and not by this run",
      details: [resumeHint(store, fingerprint)],
      exitCode: ExitCode.temporary,
    });
  }
  if (exit.code === 128 + 9 && ended.oomKilled) {
    return failed("oom", `it ran out of memory${peak}`, [OOM_HINT, itsLog]);
  }
  const error = readError(directory, ended.attempt);
  if (error) {
    const isOom = saysOutOfMemory(error.message);
    return failure(ended, {
      reason: isOom
        ? "oom"
        : ((error.reason as FailureReason | undefined) ?? REASONS[exit.code] ?? "failed"),
      message: sanitize(error.message),
      details: [...(isOom ? [OOM_HINT] : []), ...error.details, itsLog].map(sanitize),
      exitCode: isOom ? ExitCode.stageFailed : exit.code,
    });
  }
  const code = EXEC_FAILED[exit.code];
  if (code !== undefined) {
    const [said = `exit code ${exit.code}`] = sanitize(end).trimEnd().split("\n").slice(-1);
    return notStarted(ended, Object.assign(new Error(said), { code }));
  }
  return failed("failed", `its process ended with exit code ${exit.code}`, [
    itsLog,
    ...sanitize(end).trimEnd().split("\n").slice(-LOG_LINES).filter(Boolean),
  ]);
}

/** Returns the failure that an error of ours, met while running a stage, is. */
export function failureOf(stage: string, error: DllmError): StageFailure {
  const { exitCode, message, details } = error;
  const reason = REASONS[exitCode] ?? "failed";
  return { stage, reason, exitCode, message: `stage ${stage}: ${message}`, details };
}

function failure(
  { stage, peakRssBytes }: Ended,
  {
    reason,
    message,
    details,
    exitCode = ExitCode.stageFailed,
  }: { reason: FailureReason; message: string; details: readonly string[]; exitCode?: number },
): StageOutcome {
  const known = (Object.values(ExitCode) as number[]).includes(exitCode);
  return {
    status: "failed",
    failure: {
      stage,
      reason,
      exitCode: known ? exitCode : ExitCode.stageFailed,
      message: `stage ${stage}: ${message}`,
      details,
      ...(peakRssBytes !== undefined && { peakRssBytes }),
    },
  };
}

/** Whether it could not be started, for a reason that may pass. */
export function mayPass(exit: ChildExit): boolean {
  return exit.how === "not-started" && mayStartLater(errorCode(exit.cause));
}

/** What a program that starts another ends with when it cannot: permission, absence. */
const EXEC_FAILED: Readonly<Record<number, string>> = { 126: "EACCES", 127: "ENOENT" };

function notStarted(ended: Ended, cause: unknown): StageOutcome {
  const { message, details, exitCode } = startError("its process", cause);
  return failure(ended, { reason: "cannot_start", message, details, exitCode });
}

function resumeHint(store: Store, fingerprint: string): string {
  const existing = store.existing(fingerprint);
  return existing?.state === "checkpoint"
    ? `run the command again to resume at step ${existing.step}`
    : "it had no checkpoint yet; run the command again to start it anew";
}

function readError(directory: string, attempt: number): StageError | undefined {
  try {
    const error = readJson(join(directory, stageFiles.error)) as StageError;
    return error.schema === 1 && error.attempt === attempt ? error : undefined;
  } catch {
    return undefined;
  }
}
