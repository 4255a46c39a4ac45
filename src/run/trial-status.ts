/** @file How far the trials of a sweep are, and how they do by the sweep's metric. */
import { join } from "node:path";
import type { JsonObject } from "../base/json.js";
import { stageFiles } from "../plan/stage-files.js";
import type { StageResult } from "../plan/stage.js";
import type { PlannedTrial, SweepPlan } from "../plan/trials.js";
import type { StageStatus } from "./run-status.js";
import { lastRecord } from "./stage-progress.js";

export interface TrialStatus {
  id: string;
  parameters: JsonObject;
  state: "finished" | "running" | "failed" | "resumable" | "waiting";
  finishedStages: number;
  stages: number;
  /** The newest value of the sweep's metric, where there is one. */
  metric?: number;
  /** Whether it is the best so far by that metric. */
  best?: true;
}

interface Known {
  /** Of the run. */
  directory: string;
  stages: readonly StageStatus[];
  results: ReadonlyMap<string, StageResult>;
}

// A trial is what its least finished part is; running and failed parts stand out.
const order = ["running", "failed", "resumable", "waiting", "finished"] as const;

/** Returns the trials in the order of the plan. */
export function trialStatuses(sweep: SweepPlan, known: Known): TrialStatus[] {
  const states = new Map(known.stages.map(({ id, state }) => [id, state]));
  const trials = sweep.trials.map((trial): TrialStatus => {
    const own = Object.values(trial.stages).map((id) => states.get(id) ?? "waiting");
    const metric = sweep.metric && metricOf(trial, sweep.metric.name, known);
    return {
      id: trial.id,
      parameters: trial.parameters,
      state: order.find((state) => own.includes(state)) ?? "waiting",
      finishedStages: own.filter((state) => state === "finished").length,
      stages: own.length,
      ...(metric === undefined ? {} : { metric }),
    };
  });
  const sign = sweep.metric?.goal === "minimize" ? -1 : 1;
  const score = ({ metric = NaN }: TrialStatus) =>
    Number.isNaN(metric) ? -Infinity : sign * metric;
  const most = Math.max(...trials.map(score));
  const best = trials.find((trial) => score(trial) === most && most > -Infinity);
  return trials.map((trial) => (trial === best ? { ...trial, best: true } : trial));
}

/** A figure of a stage's result, the last stage first, or else the newest that it has recorded. */
function metricOf(trial: PlannedTrial, name: string, known: Known): number | undefined {
  const ids = Object.values(trial.stages).reverse();
  for (const id of ids) {
    const value = known.results.get(id)?.metrics[name];
    if (typeof value === "number") return value;
  }
  for (const id of ids) {
    const value = lastRecord(join(known.directory, "stages", id, stageFiles.metrics), name);
    if (value !== undefined) return value;
  }
  return undefined;
}
