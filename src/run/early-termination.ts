/**
 * @file Which trials of a sweep go on: asynchronous successive halving, in the form that stops
 * trials (arXiv:1810.05934 section 3.3; W&B's `early_terminate`). Pure: the same reports in the
 * same order give the same decisions.
 */
import type { EarlyTermination, SweepMetric } from "../plan/trials.js";

/** Why a trial was stopped, as `stopped.json` in its directory keeps it. */
export interface EarlyStop {
  schema: 1;
  trial: string;
  metric: SweepMetric;
  earlyTermination: EarlyTermination;
  /** The count of logged values at which it was judged. */
  rung: number;
  /** The best of its values up to there; text where it is not finite. */
  value: number | string;
  /** Trials that had reached the rung, itself included, and its place among them from 1. */
  reached: number;
  rank: number;
}

export interface Halving {
  /** Takes a trial's next value. @returns the decision to stop it, or undefined: it goes on */
  report(trial: string, value: number): EarlyStop | undefined;
  /** Takes a value of a trial that is not judged (again): it only sets the mark for others. */
  record(trial: string, value: number): void;
}

/** Returns the judge of a sweep's trials. */
export function createHalving(metric: SweepMetric, earlyTermination: EarlyTermination): Halving {
  const { rungs, eta } = earlyTermination;
  const sign = metric.goal === "minimize" ? 1 : -1;
  // Costs: smaller is better, and what is no number is worst.
  const toCost = (value: number) => (Number.isNaN(value) ? Infinity : sign * value);
  const progress = new Map<string, { count: number; best: number }>();
  const reachedRung = new Map<number, Map<string, number>>(rungs.map((rung) => [rung, new Map()]));

  /** Counts the value. @returns the rung that the trial has reached with it, if any */
  function count(trial: string, value: number): { rung: number; best: number } | undefined {
    const before = progress.get(trial) ?? { count: 0, best: Infinity };
    const best = Math.min(before.best, toCost(value));
    const now = { count: before.count + 1, best };
    progress.set(trial, now);
    const reached = reachedRung.get(now.count);
    if (!reached) return undefined;
    reached.set(trial, best);
    return { rung: now.count, best };
  }

  return {
    record: (trial, value) => void count(trial, value),
    report(trial, value) {
      const at = count(trial, value);
      if (!at) return undefined;
      const costs = [...reachedRung.get(at.rung)!.values()];
      const better = costs.filter((cost) => cost < at.best).length;
      // Equals are not worse: of equal trials none is stopped.
      if (better < Math.ceil(costs.length / eta)) return undefined;
      const best = sign * at.best;
      return {
        schema: 1,
        trial,
        metric,
        earlyTermination,
        rung: at.rung,
        value: Number.isFinite(best) ? best : String(best),
        reached: costs.length,
        rank: better + 1,
      };
    },
  };
}
