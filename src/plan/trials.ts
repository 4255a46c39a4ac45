/**
 * @file The trials of a sweep in a plan: each is the recipe with other values for the swept
 * parameters. Stages that trials have in common are in the plan once.
 */
import type { JsonObject } from "../base/json.js";

export interface PlannedTrial {
  /** Stable across runs: it names the parameters' values. */
  id: string;
  /** Recipe key path to the value that this trial gives it. */
  parameters: JsonObject;
  /** A stage's id within the trial (`sft`) to its id in the plan (`sft.3fa91b2c0d4e`). */
  stages: Readonly<Record<string, string>>;
}

/** What a sweep tries to find. */
export interface SweepMetric {
  /** A figure of a stage's result, or of its metrics.jsonl: `eval_loss`. */
  name: string;
  goal: "minimize" | "maximize";
}

/**
 * Successive halving: at each rung, only the best 1/eta of the trials that reached it go on.
 * Source: W&B's `early_terminate: {type: hyperband}`; arXiv:1810.05934 (asynchronous form).
 */
export interface EarlyTermination {
  type: "hyperband";
  /** Rungs as counts of logged values of the metric, ascending. */
  rungs: readonly number[];
  /** Of the trials that have reached a rung, 1/eta may go on. */
  eta: number;
}

export interface SweepPlan {
  method: "grid" | "random";
  metric?: SweepMetric;
  earlyTermination?: EarlyTermination;
  trials: readonly PlannedTrial[];
}
