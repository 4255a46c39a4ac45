/**
 * @file The planner: stages of a recipe, each with its fingerprint, what will be done with it
 * and why. Pure: what is on disk comes in as pins, the store's answers and the previous plan.
 */
import { createMemo, noMemo, type Memo } from "../base/memo.js";
import type { LoadedRecipe } from "../recipe/load.js";
import type { Expectation, Reproduces } from "../recipe/schema.js";
import { trainingSections } from "../recipe/stage-sections.js";
import { blockedReason } from "./blocked.js";
import { codeVersions } from "./code-version.js";
import { topologicalOrder, neededIds } from "./dag.js";
import { decide, type EarlierStage } from "./decide.js";
import { fingerprint } from "./fingerprint.js";
import { writtenBatch } from "./batch.js";
import { resolveHardware } from "./hardware.js";
import type { Locations, Pins } from "./pins.js";
import type { Outcome } from "./problem.js";
import type { PlannedStage, StageKind, StageSpec } from "./stage.js";
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
  const identified = identify(loaded, inputs);
  const idOf = new Map(identified.map((each) => [each.stage.id, each.stage.id]));
  const { previous } = inputs;
  const before = (id: string) => previous?.stages.find((stage) => stage.id === id);
  return finishStages(identified, { ...inputs, loadedAgain: () => loaded, idOf, before });
}

/** A stage of a recipe with its identity. */
interface IdentifiedStage {
  stage: RecipeStage;
  fingerprint: string;
}

/** Returns the stages of a recipe in order, without those that only repeat an earlier one. */
function identify(
  loaded: LoadedRecipe,
  inputs: PlanInputs,
  memo: Memo = noMemo,
): IdentifiedStage[] {
  const stages = recipeStages(loaded, inputs, memo);
  const byId = new Map<string, IdentifiedStage>();
  const byFingerprint = new Map<string, IdentifiedStage>();
  const ordered: IdentifiedStage[] = [];
  for (const stage of topologicalOrder(stages)) {
    const made = Object.values(stage.inputs).map((id) => byId.get(id)!);
    const identified = memo(`identity of ${stage.id}`, [stage, ...made], () =>
      withIdentity(stage, byId),
    );
    // Trainings on the same data prepare it once.
    const same =
      stage.kind === "prepare" ? byFingerprint.get(identified.fingerprint) : undefined;
    byId.set(stage.id, same ?? identified);
    if (same !== undefined) continue;
    byFingerprint.set(identified.fingerprint, identified);
    ordered.push(identified);
  }
  return ordered;
}

function withIdentity(
  stage: RecipeStage,
  made: ReadonlyMap<string, IdentifiedStage>,
): IdentifiedStage {
  const { kind, params } = stage;
  const ids: Record<string, string> = {};
  const inputs: Record<string, string> = {};
  for (const [name, id] of Object.entries(stage.inputs)) {
    const input = made.get(id)!;
    ids[name] = input.stage.id;
    inputs[name] = input.fingerprint;
  }
  return { stage: { ...stage, inputs: ids }, fingerprint: fingerprint({ kind, params, inputs }) };
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
  /** A stage's id in its recipe to its id in the plan. */
  idOf: ReadonlyMap<string, string>;
  /** The stage of the previous plan that a stage of the recipe was. */
  before: EarlierStage;
}

function finishStages(
  identified: readonly IdentifiedStage[],
  { idOf, existing, before, previous, loadedAgain }: FinishContext,
): PlannedStage[] {
  const fingerprints = new Map(identified.map((each) => [each.stage.id, each.fingerprint]));
  return identified.map(({ stage, fingerprint: identity }) => {
    const spec = specOf(stage, idOf);
    const blocked = blockedReason(spec);
    return {
      ...spec,
      fingerprint: identity,
      ...decide(stage, {
        identity,
        fingerprints,
        found: existing(identity),
        before,
        codeVersionsBefore: previous?.codeVersions,
        loaded: loadedAgain,
      }),
      needs: neededIds(spec),
      ...(blocked !== undefined && { blocked }),
    };
  });
}

function specOf(
  { id, kind, params, inputs, hardware, locations, estimate }: RecipeStage,
  idOf: ReadonlyMap<string, string>,
): StageSpec {
  return {
    id: idOf.get(id)!,
    kind,
    params,
    inputs: Object.fromEntries(Object.entries(inputs).map(([name, to]) => [name, idOf.get(to)!])),
    hardware,
    locations,
    ...(estimate !== undefined && { estimate }),
  };
}

const ID_DIGITS = 12;

/** Trials that have a stage in common share it; only what differs is there several times. */
function planSweep(inputs: PlanInputs): { stages: PlannedStage[]; sweepPlan: SweepPlan } {
  const { loaded, previous } = inputs;
  const sweep = loaded.recipe.sweep!;
  const memo = createMemo();
  const trials = expandTrials(loaded).map(({ id, parameters }) => {
    return { id, parameters, identified: identify(loaded.withValues(parameters), inputs, memo) };
  });
  // A stage that is the same in all trials keeps its plain id.
  const variantsOf = new Map<string, Set<string>>();
  for (const { identified } of trials) {
    for (const { stage, fingerprint: identity } of identified) {
      const variants = variantsOf.get(stage.id) ?? new Set();
      variantsOf.set(stage.id, variants.add(identity));
    }
  }
  const stages = new Map<string, PlannedStage>();
  const planned: PlannedTrial[] = [];
  const earlier = new Map(previous?.stages.map((stage) => [stage.id, stage]));
  const earlierTrials = new Map(previous?.sweep?.trials.map((trial) => [trial.id, trial]));
  for (const { id, parameters, identified } of trials) {
    const idOf = new Map(
      identified.map(({ stage, fingerprint: identity }) => [
        stage.id,
        variantsOf.get(stage.id)!.size === 1
          ? stage.id
          : `${stage.id}.${identity.slice(0, ID_DIGITS)}`,
      ]),
    );
    const before = (local: string) => earlier.get(earlierTrials.get(id)?.stages[local] ?? local);
    const fresh = identified.filter(({ stage }) => !stages.has(idOf.get(stage.id)!));
    // Thousands of loaded trials would fill the memory.
    const loadedAgain = () => loaded.withValues(parameters);
    const all = { ...inputs, loadedAgain, idOf, before };
    for (const stage of finishStages(fresh, all)) stages.set(stage.id, stage);
    planned.push({ id, parameters, stages: Object.fromEntries(idOf) });
  }
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

function expandTrials(loaded: LoadedRecipe): ReturnType<typeof expandSweep> {
  return loaded.at("sweep", () => expandSweep(loaded.recipe.sweep!));
}
