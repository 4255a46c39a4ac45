/** @file A stage of a recipe, or of a trial, as it stands in the plan. */
import type { LoadedRecipe } from "../recipe/load.js";
import { blockedReason } from "./blocked.js";
import { neededIds } from "./dag.js";
import { decide, type EarlierStage, type IdentifiedStage } from "./decide.js";
import type { PlanInputs } from "./plan.js";
import type { PlannedStage } from "./stage.js";

/** The plan that a stage is to stand in. */
export interface PlanContext {
  inputs: Pick<PlanInputs, "existing" | "previous">;
  /** The recipe that the stages are of, or the trial. */
  loadedAgain: () => LoadedRecipe;
  /** The id of a stage in the plan. */
  planId: (identified: IdentifiedStage) => string;
  /** The stage of the previous plan that a stage of the recipe was. */
  before: EarlierStage;
}

/** Returns the stage of a plan that an identified stage becomes: what will be done with it, and why. */
export function plannedStage(
  identified: IdentifiedStage,
  { inputs: { existing, previous }, planId, before, loadedAgain }: PlanContext,
): PlannedStage {
  const { stage, fingerprint: identity } = identified;
  const { kind, params, hardware, locations, estimate } = stage;
  const inputs: Record<string, string> = {};
  for (const [name, input] of Object.entries(identified.inputs)) inputs[name] = planId(input);
  const blocked = blockedReason({ params, hardware });
  const { action, reason } = decide(identified, {
    found: existing(identity),
    before,
    codeVersionsBefore: previous?.codeVersions,
    loaded: loadedAgain,
  });
  return {
    id: planId(identified),
    kind,
    params,
    inputs,
    hardware,
    locations,
    ...(estimate !== undefined && { estimate }),
    fingerprint: identity,
    action,
    reason,
    needs: neededIds({ inputs }),
    ...(blocked !== undefined && { blocked }),
  };
}
