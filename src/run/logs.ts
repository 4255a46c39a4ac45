/** @file Which stage's log is of interest, and following it while its run goes on. */
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { DllmError, ExitCode } from "../base/errors.js";
import { lockHolder } from "../base/lock.js";
import { stageFiles } from "../plan/stage-files.js";
import { readJournal } from "./journal.js";
import { openLogTail } from "./log-tail.js";
import { readPlan } from "./read-plan.js";
import { runPaths } from "./run-paths.js";
import { readRunStatus } from "./run-status.js";

/** Path of a stage's log in a run's directory; it stays when the stage has another attempt. */
export function logPath(directory: string, stage: string): string {
  return join(directory, "stages", stage, stageFiles.log);
}

/**
 * Returns the named stage if the run has it; without a name the one that runs, else the one that
 * failed, else the one that was started last.
 * @throws DllmError 66 when there is no such stage, or none was ever started
 */
export function chooseStage(directory: string, stage: string | undefined): string {
  const ids = readPlan(directory).stages.map(({ id }) => id);
  if (stage !== undefined) {
    if (ids.includes(stage)) return stage;
    throw new DllmError(`no stage "${stage}" in ${directory}`, {
      exitCode: ExitCode.notFound,
      details: [`it has: ${ids.join(", ")}`],
    });
  }
  const { stages } = readRunStatus(directory);
  const newest = (state: string) => stages.findLast((each) => each.state === state)?.id;
  const chosen = newest("running") ?? newest("failed") ?? lastStarted(directory, ids);
  if (chosen !== undefined) return chosen;
  throw new DllmError(`no stage of ${directory} was started yet`, {
    exitCode: ExitCode.notFound,
    details: ["logs begin with a stage's first attempt"],
  });
}

function lastStarted(directory: string, ids: readonly string[]): string | undefined {
  const { records } = readJournal(runPaths(directory, "."));
  const started = records.flatMap((each) => (each.event === "stage-started" ? [each.stage] : []));
  return started.findLast((id) => ids.includes(id));
}

export interface FollowOptions {
  directory: string;
  /** Followed over all its attempts; without one, whichever stage runs. */
  stage: string | undefined;
  /** How many lines of what is there already. */
  lines: number;
  onLine: (line: string) => void;
  /** Called before the lines of another stage. */
  onStage: (stage: string) => void;
  signal?: AbortSignal;
  pollMs?: number;
}

/** Follows the log until nothing works on the run any more. */
export async function followLog(options: FollowOptions): Promise<void> {
  const { directory, lines, onLine, onStage, signal, pollMs = 200 } = options;
  const runs = (stage: string): boolean =>
    lockHolder(join(directory, "stages", stage, stageFiles.lock)) !== undefined;
  let stage = chooseStage(directory, options.stage);
  let tail = openLogTail(logPath(directory, stage), lines);
  for (;;) {
    // Asked before reading: what was written before the end is then read after it.
    const over = !runs(stage) && lockHolder(join(directory, "run.lock")) === undefined;
    for (const line of tail.read()) onLine(line);
    if (over || signal?.aborted) break;
    const next = options.stage === undefined && !runs(stage) ? running(directory) : undefined;
    if (next !== undefined && next !== stage) {
      for (const line of [...tail.read(), ...tail.rest()]) onLine(line);
      stage = next;
      tail = openLogTail(logPath(directory, stage), lines);
      onStage(stage);
    } else await delay(pollMs);
  }
  for (const line of tail.rest()) onLine(line);
}

function running(directory: string): string | undefined {
  return readRunStatus(directory).stages.findLast(({ state }) => state === "running")?.id;
}
