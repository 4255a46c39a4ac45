/**
 * @file The trials of a sweep while it runs: which stages are whose, what each has reported, and
 * which were stopped early. A decision to stop is final: `stopped.json` in the trial's directory.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { readJson, removePath, writeJson } from "../base/fs.js";
import { canonicalJson, type JsonObject } from "../base/json.js";
import { stageFiles } from "../plan/stage-files.js";
import type { Plan } from "../plan/plan.js";
import type { PlannedStage, StageResult } from "../plan/stage.js";
import type { PlannedTrial, SweepPlan } from "../plan/trials.js";
import type { RunEvent, TrialStatus } from "../report/events.js";
import { createHalving, type EarlyStop, type Halving } from "./early-termination.js";
import { openMetricTail, type MetricTail } from "./metric-tail.js";
import type { RunPaths } from "./run-paths.js";
import type { Store } from "./store.js";

export interface Trials {
  /** Looks at what a running or finished stage has logged. @returns stages that need not run any more */
  onReport(stage: PlannedStage, result?: StageResult): readonly string[];
  /** Stages of trials that an earlier run has stopped, and of no other. */
  readonly stoppedStages: readonly string[];
  /** Waits until all decisions are on the disk. */
  settled(): Promise<void>;
  /** How each trial stands, by the states of its stages. */
  statuses(state: (stage: string) => "finished" | "failed" | "other"): Map<string, TrialStatus>;
}

const STOPPED_FILE = "stopped.json";

export interface TrialsInputs {
  plan: Plan & { sweep: SweepPlan };
  store: Store;
  paths: RunPaths;
  emit: (event: RunEvent) => void;
}

/** Opens the trials of a run: takes up earlier decisions, and earlier values as marks for new ones. */
export async function openTrials({ plan, store, paths, emit }: TrialsInputs): Promise<Trials> {
  const { sweep } = plan;
  const { metric, earlyTermination } = sweep;
  const halving = metric && earlyTermination && createHalving(metric, earlyTermination);
  const stages = new Map(plan.stages.map((stage) => [stage.id, stage]));
  const users = usersOf(sweep.trials);
  const stopped = new Set<string>();
  const writes: Promise<void>[] = [];
  const tails = new Map<string, MetricTail>();

  /** Trials that a stage tells apart: none, where all have it in common. */
  const judgedBy = (id: string): readonly PlannedTrial[] => {
    const trials = users.get(id) ?? [];
    return trials.length < sweep.trials.length || sweep.trials.length === 1 ? trials : [];
  };
  const tailOf = (stage: PlannedStage): MetricTail => {
    let tail = tails.get(stage.id);
    if (!tail) {
      const path = join(store.directory(stage.fingerprint), stageFiles.metrics);
      tails.set(stage.id, (tail = openMetricTail(path, metric!.name)));
    }
    return tail;
  };
  const stagesOfStopped = (trials: readonly PlannedTrial[]): string[] =>
    [...new Set(trials.flatMap((trial) => Object.values(trial.stages)))].filter((id) =>
      users.get(id)!.every((trial) => stopped.has(trial.id)),
    );

  const before = await readStops(paths, sweep);
  for (const trial of before) stopped.add(trial.id);
  if (halving) takeUp(halving);

  function takeUp(marks: Halving): void {
    for (const { stages: ofTrial } of sweep.trials) {
      for (const id of Object.values(ofTrial)) {
        const stage = stages.get(id);
        if (!stage || tails.has(id) || judgedBy(id).length === 0) continue;
        for (const value of tailOf(stage).read()) {
          for (const trial of judgedBy(id)) marks.record(trial.id, value);
        }
      }
    }
  }

  function judge(values: readonly number[], trials: readonly PlannedTrial[]): PlannedTrial[] {
    const news: PlannedTrial[] = [];
    for (const value of values) {
      for (const trial of trials) {
        if (stopped.has(trial.id)) continue;
        const stop = halving!.report(trial.id, value);
        if (!stop) continue;
        stopped.add(trial.id);
        news.push(trial);
        writes.push(keepStop(paths, stop));
        const { rung, value: at, rank, reached } = stop;
        emit({
          event: "trial-stopped-early",
          ...{ trial: trial.id, rung, metric: metric!.name, value: at, rank, reached },
        });
      }
    }
    return news;
  }

  return {
    stoppedStages: stagesOfStopped(before),
    onReport(stage, result) {
      const trials = judgedBy(stage.id);
      if (!halving || trials.length === 0) return [];
      const tail = tailOf(stage);
      const values = tail.read();
      const final = result?.metrics[metric!.name];
      // A figure that was never logged is reported by the result.
      if (tail.count() === 0 && typeof final === "number") values.push(final);
      return stagesOfStopped(judge(values, trials));
    },
    async settled() {
      await Promise.all(writes.splice(0));
    },
    statuses: (state) =>
      new Map(
        sweep.trials.map((trial): [string, TrialStatus] => {
          const states = Object.values(trial.stages).map(state);
          if (states.every((each) => each === "finished")) return [trial.id, "finished"];
          if (stopped.has(trial.id)) return [trial.id, "stopped_early"];
          return [trial.id, states.includes("failed") ? "failed" : "unfinished"];
        }),
      ),
  };
}

/** Returns the trials that have each stage. */
function usersOf(trials: readonly PlannedTrial[]): Map<string, PlannedTrial[]> {
  const users = new Map<string, PlannedTrial[]>();
  for (const trial of trials) {
    for (const id of new Set(Object.values(trial.stages))) {
      const list = users.get(id);
      if (list) list.push(trial);
      else users.set(id, [trial]);
    }
  }
  return users;
}

/** Returns the trials that were stopped by the same rule; stops by another rule are withdrawn. */
async function readStops(paths: RunPaths, sweep: SweepPlan): Promise<PlannedTrial[]> {
  const stopped: PlannedTrial[] = [];
  const rule = ruleOf(sweep);
  for (const trial of sweep.trials) {
    const path = stopPath(paths, trial.id);
    if (!existsSync(path)) continue;
    if (ruleOf(readStop(path)) === rule) stopped.push(trial);
    else await removePath(path);
  }
  return stopped;
}

function readStop(path: string): Partial<EarlyStop> {
  try {
    return readJson(path) as EarlyStop;
  } catch {
    // Damaged: as if it had not been stopped. It goes on at its checkpoint.
    return {};
  }
}

function ruleOf({ metric, earlyTermination }: Partial<SweepPlan>): string {
  const rule = { metric: metric ?? null, earlyTermination: earlyTermination ?? null };
  return canonicalJson(rule as unknown as JsonObject);
}

function stopPath(paths: RunPaths, trial: string): string {
  return join(paths.trials, trial, STOPPED_FILE);
}

async function keepStop(paths: RunPaths, stop: EarlyStop): Promise<void> {
  await writeJson(stopPath(paths, stop.trial), stop);
}

/** Returns why a trial was stopped early, if it was. */
export function readEarlyStop(runDirectory: string, trial: string): EarlyStop | undefined {
  const path = join(runDirectory, "trials", trial, STOPPED_FILE);
  const stop = existsSync(path) ? readStop(path) : {};
  return stop.schema === 1 ? (stop as EarlyStop) : undefined;
}
