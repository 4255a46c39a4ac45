/**
 * @file How far a run is, derived from what is on disk: nothing keeps a state that could be
 * wrong. Takes no lock and hashes nothing.
 */
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { readJson, readManifest } from "../base/fs.js";
import { describeHolder, lockHolder } from "../base/lock.js";
import { asStageResult, stageFiles } from "../plan/stage-files.js";
import type { PlannedStage, StageResult } from "../plan/stage.js";
import { readJournal } from "./journal.js";
import { readPlan } from "./read-plan.js";
import { runPaths } from "./run-paths.js";
import {
  readProgress,
  stageStarts,
  type StageProgress,
  type StageStart,
} from "./stage-progress.js";
import { trialStatuses, type TrialStatus } from "./trial-status.js";

export interface StageStatus {
  id: string;
  kind: string;
  state: "finished" | "running" | "failed" | "resumable" | "waiting";
  fingerprint: string;
  /** Of all attempts, where it has finished. */
  seconds?: number;
  /** Of the newest checkpoint, where it has not. */
  checkpointStep?: number;
  /** Where it runs. */
  progress?: StageProgress;
  /** Why it failed, or which process runs it. */
  message?: string;
}

export interface RunStatus {
  run: string;
  directory: string;
  state: "finished" | "running" | "failed" | "unfinished";
  holder?: string;
  stages: StageStatus[];
  /** Only of a sweep. */
  trials?: TrialStatus[];
}

/** Returns the state of a run. @throws DllmError 65/66/78 when its plan cannot be read */
export function readRunStatus(directory: string, nowMs = Date.now()): RunStatus {
  const plan = readPlan(directory);
  const holder = lockHolder(join(directory, "run.lock"));
  const startOf = lazily(() => stageStarts(readJournal(runPaths(directory, ".")).records));
  const results = new Map<string, StageResult>();
  const stages = plan.stages.map((stage) =>
    stageStatus(join(directory, "stages", stage.id), stage, {
      nowMs,
      startOf: (id) => startOf().get(id),
      onResult: (result) => results.set(stage.id, result),
    }),
  );
  const has = (state: StageStatus["state"]) => stages.some((stage) => stage.state === state);
  const settled = stages.every(({ state }) => state === "finished")
    ? "finished"
    : has("failed")
      ? "failed"
      : "unfinished";
  return {
    run: plan.name,
    directory,
    state: holder ? "running" : settled,
    ...(holder ? { holder: describeHolder(holder) } : {}),
    stages,
    ...(plan.sweep ? { trials: trialStatuses(plan.sweep, { directory, stages, results }) } : {}),
  };
}

function lazily<T>(make: () => T): () => T {
  let made: { value: T } | undefined;
  return () => (made ??= { value: make() }).value;
}

interface StatusWorld {
  nowMs: number;
  startOf: (id: string) => StageStart | undefined;
  onResult: (result: StageResult) => void;
}

function stageStatus(
  directory: string,
  stage: PlannedStage,
  { nowMs, startOf, onResult }: StatusWorld,
): StageStatus {
  const { id, kind, fingerprint } = stage;
  const base = { id, kind, fingerprint };
  // One look at the directory: a run may have ten thousand of them.
  const names = new Set(namesIn(directory));
  const read = (name: "result" | "error") =>
    names.has(stageFiles[name]) ? readOrNothing(join(directory, stageFiles[name])) : null;
  const finished = asStageResult(read("result"), fingerprint);
  if (finished) {
    onResult(finished);
    return { ...base, state: "finished", seconds: finished.totalSeconds };
  }
  const step = names.has(stageFiles.checkpoints)
    ? newestStep(join(directory, stageFiles.checkpoints))
    : undefined;
  const checkpoint = step === undefined ? {} : { checkpointStep: step };
  const holder = names.has(`${stageFiles.lock}.json`)
    ? lockHolder(join(directory, stageFiles.lock))
    : undefined;
  if (holder) {
    const progress = readProgress(directory, stage, { start: startOf(id), nowMs });
    return {
      ...base,
      ...checkpoint,
      state: "running",
      ...(progress ? { progress } : {}),
      message: describeHolder(holder),
    };
  }
  const error = read("error") as { message?: unknown } | null;
  if (typeof error?.message === "string") {
    return { ...base, ...checkpoint, state: "failed", message: error.message };
  }
  return { ...base, ...checkpoint, state: step === undefined ? "waiting" : "resumable" };
}

function namesIn(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
}

function readOrNothing(path: string): unknown {
  try {
    return readJson(path);
  } catch {
    return null;
  }
}

function newestStep(directory: string): number | undefined {
  const steps = namesIn(directory).flatMap((name) => {
    if (!/^step-\d+$/.test(name)) return [];
    try {
      return [Number(readManifest(join(directory, name)).step)];
    } catch {
      return [];
    }
  });
  return steps.length === 0 ? undefined : Math.max(...steps);
}
