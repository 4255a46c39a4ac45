/**
 * @file The planner: stages of a recipe, each with its fingerprint, what will be done with it
 * and why. Pure: what is on disk comes in as pins, the store's answers and the previous plan.
 */
import type { LoadedRecipe } from "../recipe/load.js";
import type { Locations, Pins } from "./pins.js";
import type { PlannedStage, StageKind } from "./stage.js";

/** `plan.json`. */
export interface Plan {
  schema: 1;
  /** The recipe's name. */
  name: string;
  /** The recipe's file as it was given. */
  recipe: string;
  codeVersions: Readonly<Record<StageKind, number>>;
  /** In an order in which they can run. */
  stages: readonly PlannedStage[];
}

/** What the store holds under a fingerprint: a verified artifact, or a checkpoint to resume. */
export type ExistingStage = { state: "finished" } | { state: "checkpoint"; step: number };

export interface PlanInputs {
  loaded: LoadedRecipe;
  pins: Pins;
  locations: Locations;
  /** CPU cores of this machine, for `hardware.threads: 0`. */
  cores: number;
  existing: (fingerprint: string) => ExistingStage | undefined;
  /** The plan of the run before this one, to say what changed. */
  previous: Plan | undefined;
}
