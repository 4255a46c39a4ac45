/**
 * @file The planner: stages of a recipe, each with its fingerprint, what will be done with it
 * and why. Pure: what is on disk comes in as pins, the store's answers and the previous plan.
 */
import type { LoadedRecipe } from "../recipe/load.js";
import type { Expectation, Reproduces } from "../recipe/schema.js";
import { codeVersions } from "./code-version.js";
import { identify } from "./identify.js";
import type { Locations, Pins } from "./pins.js";
import { planSweep } from "./plan-sweep.js";
import { plannedStage, type PlanContext } from "./planned-stage.js";
import type { PlannedStage, StageKind } from "./stage.js";
import type { SweepPlan } from "./trials.js";

/** `plan.json`. */
export interface Plan {
  schema: 1;
  /** The recipe's name. */
  name: string;
  /** The recipe's file as it was given. */
  recipe: string;
  codeVersions: Readonly<Record<StageKind, number>>;
  /** The published experiment that is repeated, and its figures. */
  reproduces?: Reproduces;
  expects?: readonly Expectation[];
  /** In an order in which they can run. */
  stages: readonly PlannedStage[];
  /** Only of a recipe with a sweep; its stages are all in `stages`. */
  sweep?: SweepPlan;
  /** How it was asked for, to ask again; a plan that nobody asked for on a command line has none. */
  invocation?: Invocation;
}

/** What `dllm run` was called with. */
export interface Invocation {
  /** The recipe's absolute path. */
  recipe: string;
  /** Profiles, in order. */
  profiles: readonly string[];
  /** `--set` and bare overrides, in order. */
  set: readonly string[];
}

/** What the store holds under a fingerprint: a verified artifact, a checkpoint, or a ruin. */
export type ExistingStage =
  | { state: "finished" }
  | { state: "checkpoint"; step: number }
  /** Something is there, but it does not verify. */
  | { state: "damaged" };

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

/**
 * Returns the plan of a recipe, of all trials where it has a sweep.
 * @throws RecipeError 65 for hardware that contradicts itself or cannot keep a step's rows, and
 * for a trial whose values do not go together
 */
export function planRun(inputs: PlanInputs): Plan {
  const { loaded } = inputs;
  const { name, sweep, reproduces, expects } = loaded.recipe;
  const { stages, sweepPlan } =
    sweep === undefined
      ? { stages: planOne(loaded, inputs), sweepPlan: undefined }
      : planSweep(inputs);
  return {
    schema: 1,
    name,
    recipe: loaded.file,
    codeVersions,
    ...(reproduces !== undefined && { reproduces }),
    ...(expects !== undefined && { expects }),
    stages,
    ...(sweepPlan !== undefined && { sweep: sweepPlan }),
  };
}

function planOne(loaded: LoadedRecipe, inputs: PlanInputs): PlannedStage[] {
  const { previous } = inputs;
  const context: PlanContext = {
    inputs,
    loadedAgain: () => loaded,
    planId: ({ stage }) => stage.id,
    before: (id) => previous?.stages.find((stage) => stage.id === id),
  };
  return identify(loaded, inputs).map((each) => plannedStage(each, context));
}
