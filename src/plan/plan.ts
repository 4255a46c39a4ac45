/**
 * @file The planner: stages of a recipe, each with its fingerprint, what will be done with it
 * and why. Pure: what is on disk comes in as pins, the store's answers and the previous plan.
 */
import { createMemo, noMemo, type Memo } from "../base/memo.js";
import type { LoadedRecipe } from "../recipe/load.js";
import type { Expectation, Reproduces } from "../recipe/schema.js";
import { trainingSections } from "../recipe/stage-sections.js";
import { writtenBatch } from "./batch.js";
import { blockedReason } from "./blocked.js";
import { codeVersions } from "./code-version.js";
import { topologicalOrder, neededIds } from "./dag.js";
import { decide, type EarlierStage, type IdentifiedStage } from "./decide.js";
import { fingerprint } from "./fingerprint.js";
import { resolveHardware } from "./hardware.js";
import type { Locations, Pins } from "./pins.js";
import type { Outcome } from "./problem.js";
import type { PlannedStage, StageKind } from "./stage.js";
import { stagesOfRecipe, type RecipeStage, type StageHardwareOf } from "./stages-of-recipe.js";
import { earlyTerminationOf, expandSweep } from "./sweep.js";
import type { PlannedTrial, SweepPlan } from "./trials.js";

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
  const context: FinishContext = {
    ...inputs,
    loadedAgain: () => loaded,
    planId: ({ stage }) => stage.id,
    before: (id) => previous?.stages.find((stage) => stage.id === id),
  };
  return identify(loaded, inputs).map((each) => finishStage(each, context));
}

/** Returns the stages of a recipe in order, without those that only repeat an earlier one. */
function identify(
  loaded: LoadedRecipe,
  inputs: PlanInputs,
  memo: Memo = noMemo,
): IdentifiedStage[] {
  const stages = recipeStages(loaded, inputs, memo);
  const byId = new Map<string, IdentifiedStage>();
  const prepared = new Map<string, IdentifiedStage>();
  const ordered: IdentifiedStage[] = [];
  for (const stage of topologicalOrder(stages)) {
    const made = Object.values(stage.inputs).map((id) => byId.get(id)!);
    const identified = memo(`identity of ${stage.id}`, [stage, ...made], () =>
      withIdentity(stage, byId),
    );
    // Trainings on the same data prepare it once.
    const same = prepared.get(identified.fingerprint);
    byId.set(stage.id, same ?? identified);
    if (same !== undefined) continue;
    if (stage.kind === "prepare") prepared.set(identified.fingerprint, identified);
    ordered.push(identified);
  }
  return ordered;
}

function withIdentity(
  stage: RecipeStage,
  made: ReadonlyMap<string, IdentifiedStage>,
): IdentifiedStage {
  const { kind, params } = stage;
  const inputs: Record<string, IdentifiedStage> = {};
  const fingerprints: Record<string, string> = {};
  for (const [name, id] of Object.entries(stage.inputs)) {
    const input = made.get(id)!;
    inputs[name] = input;
    fingerprints[name] = input.fingerprint;
  }
  return { stage, inputs, fingerprint: fingerprint({ kind, params, inputs: fingerprints }) };
}

/**
 * Returns the stages of a recipe (of a sweep, without its trials).
 * @throws RecipeError 65 for hardware that cannot be resolved
 */
export function recipeStages(
  loaded: LoadedRecipe,
  inputs: Pick<PlanInputs, "pins" | "locations" | "cores">,
  memo: Memo = noMemo,
): RecipeStage[] {
  return stagesOfRecipe({ ...inputs, recipe: loaded.recipe }, hardwareOf(loaded, memo), memo);
}

function hardwareOf(loaded: LoadedRecipe, memo: Memo): StageHardwareOf {
  const { hardware } = loaded.recipe;
  const value = <Value>(outcome: Outcome<Value>): Value => {
    if (outcome.ok) return outcome.value;
    const { keyPath, message, details } = outcome.problems[0]!;
    throw loaded.errorAt(keyPath, { message, details });
  };
  const training = new Map(
    trainingSections(loaded.recipe).map(({ id, keyPath, settings }) => {
      const batch = writtenBatch(settings);
      const resolved = memo(`hardware ${id}`, [hardware, ...Object.values(batch)], () =>
        value(resolveHardware({ hardware, train: { stagePath: keyPath, ...batch } })),
      );
      return [id, resolved];
    }),
  );
  const other = memo("hardware", [hardware], () => value(resolveHardware({ hardware })));
  return { other, training };
}

interface FinishContext extends PlanInputs {
  /** The recipe that the stages are of, or the trial. */
  loadedAgain: () => LoadedRecipe;
  /** The id of a stage in the plan. */
  planId: (identified: IdentifiedStage) => string;
  /** The stage of the previous plan that a stage of the recipe was. */
  before: EarlierStage;
}

function finishStage(
  identified: IdentifiedStage,
  { planId, existing, before, previous, loadedAgain }: FinishContext,
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

/** Trials that have a stage in common share it; only what differs is there several times. */
function planSweep(inputs: PlanInputs): { stages: PlannedStage[]; sweepPlan: SweepPlan } {
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
    const context: FinishContext = {
      ...inputs,
      // Thousands of loaded trials would fill the memory.
      loadedAgain: () => loaded.withValues(parameters),
      planId,
      before: (local) => earlier.get(earlierTrials.get(id)?.stages[local] ?? local),
    };
    const ids: Record<string, string> = {};
    for (const each of identified) {
      const stageId = planId(each);
      ids[each.stage.id] = stageId;
      if (!stages.has(stageId)) stages.set(stageId, finishStage(each, context));
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
