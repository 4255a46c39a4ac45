/**
 * @file How far a run is, derived from what is on disk: nothing keeps a state that could be
 * wrong. Takes no lock and hashes nothing.
 */
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { readJson, readManifest } from "../base/fs.js";
import { describeHolder, lockHolder } from "../base/lock.js";
import type { Plan } from "../plan/plan.js";
import { asStageResult, stageFiles } from "../plan/stage-files.js";
import type { PlannedStage, StageResult } from "../plan/stage.js";

export interface StageStatus {
  id: string;
  kind: string;
  state: "finished" | "running" | "failed" | "resumable" | "waiting";
  fingerprint: string;
  /** Of all attempts, where it has finished. */
  seconds?: number;
  /** Of the newest checkpoint, where it has not. */
  checkpointStep?: number;
  /** Why it failed, or which process runs it. */
  message?: string;
}

export interface RunStatus {
  run: string;
  directory: string;
  state: "finished" | "running" | "failed" | "unfinished";
  holder?: string;
  stages: StageStatus[];
}

/** Returns the state of a run. @throws DllmError 65/66 when its plan cannot be read */
export function readRunStatus(directory: string): RunStatus {
  const plan = readJson(join(directory, "plan.json")) as Plan;
  const holder = lockHolder(join(directory, "run.lock"));
  const stages = plan.stages.map((stage) => stageStatus(directory, stage));
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
  };
}

function stageStatus(runDirectory: string, stage: PlannedStage): StageStatus {
  const { id, kind, fingerprint } = stage;
  const directory = join(runDirectory, "stages", id);
  const base = { id, kind, fingerprint };
  const result = readOrNothing(join(directory, stageFiles.result));
  const finished: StageResult | undefined = asStageResult(result, fingerprint);
  if (finished) return { ...base, state: "finished", seconds: finished.totalSeconds };
  const step = newestStep(join(directory, stageFiles.checkpoints));
  const checkpoint = step === undefined ? {} : { checkpointStep: step };
  const holder = lockHolder(join(directory, stageFiles.lock));
  if (holder) {
    return { ...base, ...checkpoint, state: "running", message: describeHolder(holder) };
  }
  const error = readOrNothing(join(directory, stageFiles.error)) as { message?: unknown } | null;
  if (typeof error?.message === "string") {
    return { ...base, ...checkpoint, state: "failed", message: error.message };
  }
  return { ...base, ...checkpoint, state: step === undefined ? "waiting" : "resumable" };
}

function readOrNothing(path: string): unknown {
  try {
    return readJson(path);
  } catch {
    return null;
  }
}

function newestStep(directory: string): number | undefined {
  const names = existsSync(directory) ? readdirSync(directory) : [];
  const steps = names.flatMap((name) => {
    if (!/^step-\d+$/.test(name)) return [];
    try {
      return [Number(readManifest(join(directory, name)).step)];
    } catch {
      return [];
    }
  });
  return steps.length === 0 ? undefined : Math.max(...steps);
}
