/**
 * @file What became of a stage whose process ended. Done means: exit code 0, a valid result and
 * an output that verifies; never one of them alone.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { ExitCode } from "../base/errors.js";
import { readJson } from "../base/fs.js";
import { sanitize } from "../base/sanitize.js";
import { stageFiles, type StageError } from "../plan/stage-files.js";
import type { StageResult } from "../plan/stage.js";
import type { StageFailure } from "../report/events.js";
import type { ChildExit } from "./stage-process.js";
import type { Store } from "./store.js";

export type StageOutcome =
  | { status: "finished"; result: StageResult }
  | { status: "stopped" }
  | { status: "failed"; failure: StageFailure };

interface Ended {
  stage: string;
  fingerprint: string;
  attempt: number;
  exit: ChildExit;
  /** Whether the executor had asked it to stop. */
  stopRequested: boolean;
}

const LOG_LINES = 8;

export function judgeExit(store: Store, ended: Ended): StageOutcome {
  const { stage, fingerprint, attempt, exit, stopRequested } = ended;
  const directory = store.directory(fingerprint);
  const logPath = join(directory, stageFiles.log);
  const failed = (
    reason: StageFailure["reason"],
    message: string,
    details: readonly string[],
    exitCode: number = ExitCode.stageFailed,
  ): StageOutcome => ({
    status: "failed",
    failure: { stage, reason, exitCode, message: `stage ${stage}: ${message}`, details },
  });

  if (exit.how === "not-started") {
    return failed("cannot_start", `its process cannot be started: ${exit.problem}`, [], 78);
  }
  if (exit.how === "killed") {
    if (stopRequested) return { status: "stopped" };
    const memory = "if the machine ran out of memory, lower the batch size and raise";
    return failed("killed", `its process was killed by ${exit.signal}`, [
      ...(exit.signal === "SIGKILL" ? [`${memory} gradient_accumulation_steps`] : []),
      resumeHint(store, fingerprint),
    ]);
  }
  if (exit.code === ExitCode.temporary) return { status: "stopped" };
  if (exit.code === 0) {
    const result = store.finished(fingerprint);
    if (result) return { status: "finished", result };
    const found = store.problems.find((problem) => problem.fingerprint === fingerprint)?.problem;
    return failed("incomplete_output", "its process ended well but left no complete result", [
      found ?? `${join(directory, stageFiles.result)} is missing`,
      `its log: ${logPath}`,
    ]);
  }
  const error = readError(directory, attempt);
  const known = (Object.values(ExitCode) as number[]).includes(exit.code);
  const exitCode = known ? exit.code : ExitCode.stageFailed;
  if (error) {
    const details = [...error.details, `its log: ${logPath}`];
    return failed("failed", sanitize(error.message), details.map(sanitize), exitCode);
  }
  const tail = logTail(logPath);
  return failed("failed", `its process ended with exit code ${exit.code}`, [
    `its log: ${logPath}`,
    ...tail,
  ]);
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

function logTail(path: string): string[] {
  try {
    const text = readFileSync(path, "utf8").slice(-16_384);
    return sanitize(text).trimEnd().split("\n").slice(-LOG_LINES);
  } catch {
    return [];
  }
}
