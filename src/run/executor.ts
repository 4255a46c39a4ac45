/**
 * @file Executes a plan: reuses what verifies, runs the rest in the order of the DAG, each stage
 * in its own process, and tells an event sink what happens. Knows stages only as specifications,
 * working directories and results.
 */
import { readdir } from "node:fs/promises";
import { join, relative } from "node:path";
import { ExitCode } from "../base/errors.js";
import { linkAtomic, makeDirectory, removePath, writeFileAtomic, writeJson } from "../base/fs.js";
import { canonicalJson, type JsonObject } from "../base/json.js";
import { acquireLock } from "../base/lock.js";
import { removeLeftovers } from "../base/quarantine.js";
import type { Plan } from "../plan/plan.js";
import { stageFiles, type StageMessage } from "../plan/stage-files.js";
import type { PlannedStage, StageResult } from "../plan/stage.js";
import type { EventSink, RunEvent, StageFailure } from "../report/events.js";
import { judgeExit, type StageOutcome } from "./judge-exit.js";
import { openJournal } from "./journal.js";
import { runPaths, type RunPaths } from "./run-paths.js";
import { makeJob } from "./stage-job.js";
import { startStageProcess } from "./stage-process.js";
import { stopLadder, type StopRequests } from "./stop-ladder.js";
import type { Store } from "./store.js";

export interface Clock {
  /** Wall time, for people. */
  date(): Date;
  /** Monotonic milliseconds, for durations. */
  now(): number;
}

export const systemClock: Clock = { date: () => new Date(), now: () => performance.now() };

export interface ExecutePlanInputs extends StopRequests {
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
  /** Whether stages begin anew whose checkpoints are all damaged, instead of failing. */
  allowRestart?: boolean;
}

export interface RunOutcome {
  status: "ok" | "failed" | "stopped";
  exitCode: number;
  directory: string;
  ran: readonly string[];
  reused: readonly string[];
  /** Results of the finished stages by id, in plan order. */
  results: Readonly<Record<string, StageResult>>;
  failure?: StageFailure;
}

/**
 * Runs a plan to its end, its first failure, or a stop.
 * @throws DllmError 73/74/77 when the run's directory cannot be written, 75 when it is in use
 */
export async function executePlan(inputs: ExecutePlanInputs): Promise<RunOutcome> {
  const { plan, runsRoot, clock = systemClock } = inputs;
  const paths = runPaths(runsRoot, plan.name);
  await makeDirectory(paths.stages);
  const lock = await acquireLock(paths.lock, { what: paths.directory });
  try {
    await removeLeftovers(paths.directory);
    await writeFileAtomic(paths.recipe, `${canonicalJson(inputs.recipe)}\n`);
    await inputs.store.refer(() => writeJson(paths.plan, plan), inputs.stop);
    await linkStages(inputs, paths);
    const journal = openJournal(paths);
    const started = clock.now();
    const emit = (event: RunEvent): void => {
      const elapsed_s = Math.round(clock.now() - started) / 1000;
      const stamped = { time: clock.date().toISOString(), elapsed_s, ...event };
      journal.append(stamped);
      inputs.emit(stamped);
    };
    try {
      return await runStages(inputs, paths, emit);
    } finally {
      journal.close();
    }
  } finally {
    await lock.release();
  }
}

/** Makes `stages/<id>` point to the working directories of this plan, and of no other. */
async function linkStages({ plan, store }: ExecutePlanInputs, paths: RunPaths): Promise<void> {
  const ids = new Set(plan.stages.map(({ id }) => id));
  for (const name of await readdir(paths.stages)) {
    if (!ids.has(name)) await removePath(join(paths.stages, name));
  }
  for (const { id, fingerprint } of plan.stages) {
    const directory = store.directory(fingerprint);
    await makeDirectory(directory);
    await linkAtomic(join(paths.stages, id), relative(paths.stages, directory));
  }
}

async function runStages(
  inputs: ExecutePlanInputs,
  paths: RunPaths,
  emit: (event: RunEvent) => void,
): Promise<RunOutcome> {
  const { plan, store, stop, kill, clock = systemClock } = inputs;
  const started = clock.now();
  emit({
    event: "run-started",
    run: plan.name,
    directory: paths.directory,
    stages: plan.stages.map(({ id, kind, action, reason, fingerprint }) => {
      return { id, kind, action, reason, fingerprint };
    }),
  });
  const ran: string[] = [];
  const reused: string[] = [];
  const results: Record<string, StageResult> = {};
  const finish = (
    status: RunOutcome["status"],
    exitCode: number,
    failure?: StageFailure,
  ): RunOutcome => {
    const seconds = (clock.now() - started) / 1000;
    emit({ event: "run-finished", status, exitCode, seconds, ran, reused });
    const outcome = { status, exitCode, directory: paths.directory, ran, reused, results };
    return failure ? { ...outcome, failure } : outcome;
  };

  for (const stage of plan.stages) {
    if (stop?.aborted || kill?.aborted) return finish("stopped", ExitCode.temporary);
    const existing = store.finished(stage.fingerprint);
    if (existing) {
      const { id, reason, fingerprint } = stage;
      emit({ event: "stage-reused", stage: id, reason, fingerprint });
      reused.push(id);
      results[id] = existing;
      continue;
    }
    const outcome = await runStage(inputs, stage, emit);
    if (outcome.status === "stopped") return finish("stopped", ExitCode.temporary);
    if (outcome.status === "failed") {
      return finish("failed", outcome.failure.exitCode, outcome.failure);
    }
    ran.push(stage.id);
    results[stage.id] = outcome.result;
  }
  return finish("ok", ExitCode.ok);
}

async function runStage(
  inputs: ExecutePlanInputs,
  stage: PlannedStage,
  emit: (event: RunEvent) => void,
): Promise<StageOutcome> {
  const { store, stageScript, clock = systemClock } = inputs;
  const directory = store.directory(stage.fingerprint);
  const job = makeJob(inputs.plan, stage, store, inputs);
  await writeJson(join(directory, stageFiles.spec), job);
  const started = clock.now();
  const child = startStageProcess({
    script: stageScript,
    workingDirectory: directory,
    onMessage: (message) => emitMessage(stage.id, message, emit),
  });
  const { id, fingerprint } = stage;
  const { attempt } = job;
  emit({ event: "stage-started", stage: id, fingerprint, attempt, pid: child.pid ?? 0 });
  const ladder = stopLadder(inputs, id, child, emit);
  const exit = await child.exited;
  ladder.end();
  const outcome = judgeExit(store, {
    stage: id,
    fingerprint,
    attempt,
    exit,
    stopRequested: ladder.requested(),
  });
  const seconds = (clock.now() - started) / 1000;
  switch (outcome.status) {
    case "finished": {
      const { peakRssBytes, artifact, metrics } = outcome.result;
      emit({ event: "stage-finished", stage: id, seconds, peakRssBytes, artifact, metrics });
      break;
    }
    case "stopped": {
      const existing = store.existing(fingerprint);
      const checkpointStep = existing?.state === "checkpoint" ? existing.step : null;
      emit({ event: "stage-stopped", stage: id, seconds, checkpointStep });
      break;
    }
    case "failed":
      emit({ event: "stage-failed", ...outcome.failure });
      break;
  }
  return outcome;
}

function emitMessage(stage: string, message: StageMessage, emit: (event: RunEvent) => void): void {
  switch (message.type) {
    case "started":
      if (message.resumedStep !== undefined) {
        emit({ event: "stage-resumed", stage, step: message.resumedStep });
      }
      break;
    case "waiting":
      emit({ event: "stage-waiting", stage, holder: message.holder });
      break;
    case "progress":
      emit({ event: "stage-progress", stage, ...message.progress });
      break;
    case "checkpoint-started":
    case "checkpoint-published":
      emit({ event: message.type, stage, step: message.step });
      break;
    case "quarantined": {
      const { path, movedTo, problem } = message;
      emit({ event: "quarantined", stage, path, movedTo, problem });
      break;
    }
  }
}
