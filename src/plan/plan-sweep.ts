/** @file The plan of a sweep: the stages of all its trials, those that they share once. */
import { createMemo } from "../base/memo.js";
import type { IdentifiedStage } from "./decide.js";
import { identify } from "./identify.js";
import type { PlanInputs } from "./plan.js";
import { plannedStage, type PlanContext } from "./planned-stage.js";
import type { PlannedStage } from "./stage.js";
import { earlyTerminationOf, expandSweep } from "./sweep.js";
import type { PlannedTrial, SweepPlan } from "./trials.js";

/** Trials that have a stage in common share it; only what differs is there several times. */
export function planSweep(inputs: PlanInputs): { stages: PlannedStage[]; sweepPlan: SweepPlan } {
  const { loaded, previous } = inputs;
  const sweep = loaded.recipe.sweep!;
  const memo = createMemo();
  const trials = loaded
    .at("sweep", () => expandSweep(sweep))
    .map((trial) => ({
      ...trial,
      identified: identify(loaded.withValues(trial.parameters), inputs, memo),
    }));
  const planId = idsInSweep(trials.flatMap(({ identified }) => identified));
  const stages = new Map<string, PlannedStage>();
  const earlier = new Map(previous?.stages.map((stage) => [stage.id, stage]));
  const earlierTrials = new Map(previous?.sweep?.trials.map((trial) => [trial.id, trial]));
  const planned = trials.map(({ id, parameters, identified }): PlannedTrial => {
    const context: PlanContext = {
      inputs,
      // Thousands of loaded trials would fill the memory.
      loadedAgain: () => loaded.withValues(parameters),
      planId,
      before: (local) => earlier.get(earlierTrials.get(id)?.stages[local] ?? local),
    };
    const ids: Record<string, string> = {};
    for (const each of identified) {
      const stageId = planId(each);
      ids[each.stage.id] = stageId;
      if (!stages.has(stageId)) stages.set(stageId, plannedStage(each, context));
    }
    return { id, parameters, stages: ids };
  });
  const earlyTermination = earlyTerminationOf(sweep);
  return {
    stages: [...stages.values()],
    sweepPlan: {
      method: sweep.method,
      ...(sweep.metric !== undefined && { metric: sweep.metric }),
      ...(earlyTermination !== undefined && { earlyTermination }),
      trials: planned,
    },
  };
}

const ID_DIGITS = 12;

/**
 * Returns the function that names the stages of all trials: one that is the same in all of them
 * keeps its plain id, others are named by their content.
 */
function idsInSweep(all: readonly IdentifiedStage[]): (identified: IdentifiedStage) => string {
  const unique = new Set(all);
  const variantsOf = new Map<string, Set<string>>();
  for (const { stage, fingerprint: identity } of unique) {
    const variants = variantsOf.get(stage.id) ?? new Set();
    variantsOf.set(stage.id, variants.add(identity));
  }
  const ids = new Map<IdentifiedStage, string>();
  for (const identified of unique) {
    const { stage, fingerprint: identity } = identified;
    const isShared = variantsOf.get(stage.id)!.size === 1;
    ids.set(identified, isShared ? stage.id : `${stage.id}.${identity.slice(0, ID_DIGITS)}`);
  }
  return (identified) => ids.get(identified)!;
}
