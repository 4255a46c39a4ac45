/**
 * @file The planner: stages of a recipe, each with its fingerprint, what will be done with it
 * and why. Pure: what is on disk comes in as pins, the store's answers and the previous plan.
 */
import { ExitCode } from "../base/errors.js";
import type { LoadedRecipe } from "../recipe/load.js";
import { describeChanges } from "./changes.js";
import { codeVersions } from "./code-version.js";
import { neededIds, topologicalOrder } from "./dag.js";
import { fingerprint } from "./fingerprint.js";
import type { Locations, Pins } from "./pins.js";
import type { PlannedStage, StageAction, StageKind, StageSpec } from "./stage.js";
import { stagesOfRecipe, type RecipeStage } from "./stages-of-recipe.js";
import type { SweepPlan } from "./trials.js";

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
  /** Only of a recipe with a sweep; its stages are all in `stages`. */
  sweep?: SweepPlan;
  /** How it was asked for, to ask again; a plan that nobody asked for on a command line has none. */
  invocation?: Invocation;
}

/** What `dllm run` was called with. */
export interface Invocation {
  /** The recipe's absolute path. */
  recipe: string;
  /** `--set` overrides, in order. */
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
 * Returns the plan of a recipe.
 * @throws RecipeError 78 for hardware that this version cannot use
 */
export function planRun(inputs: PlanInputs): Plan {
  const { loaded, existing } = inputs;
  checkHardware(loaded);
  const planned = new Map<string, PlannedStage>();
  for (const stage of topologicalOrder(stagesOfRecipe({ recipe: loaded.recipe, ...inputs }))) {
    const spec = withoutOrigins(stage);
    const inputFingerprints = Object.fromEntries(
      Object.entries(stage.inputs).map(([name, id]) => [name, planned.get(id)!.fingerprint]),
    );
    const identity = fingerprint({ ...spec, inputs: inputFingerprints });
    planned.set(stage.id, {
      ...spec,
      fingerprint: identity,
      ...decide(stage, identity, planned, { ...inputs, found: existing(identity) }),
      needs: neededIds(stage),
    });
  }
  return {
    schema: 1,
    name: loaded.recipe.name,
    recipe: loaded.file,
    codeVersions,
    stages: [...planned.values()],
  };
}

function withoutOrigins(stage: RecipeStage): StageSpec {
  const spec: StageSpec & { origins?: unknown } = { ...stage };
  delete spec.origins;
  return spec;
}

function checkHardware(loaded: LoadedRecipe): void {
  const { strategy } = loaded.recipe.hardware;
  if (strategy === "single") return;
  throw loaded.errorAt("hardware.strategy", {
    message: `strategy is "${strategy}", and this version trains on a single device`,
    details: ['write "strategy: single", or leave it out: it never changes what is computed'],
    exitCode: ExitCode.environment,
  });
}

function decide(
  stage: RecipeStage,
  identity: string,
  planned: ReadonlyMap<string, PlannedStage>,
  { found, previous, loaded }: PlanInputs & { found: ExistingStage | undefined },
): { action: StageAction; reason: string } {
  if (found?.state === "finished") return { action: "reuse", reason: "finished, verified" };
  if (found?.state === "checkpoint") {
    return { action: "resume", reason: `checkpoint at step ${found.step}` };
  }
  if (found?.state === "damaged") return { action: "run", reason: "the artifact is damaged" };
  const before = previous?.stages.find(({ id }) => id === stage.id);
  if (before === undefined || before.fingerprint === identity) {
    return { action: "run", reason: "no artifact yet" };
  }
  return {
    action: "run",
    reason: whatChanged(stage, before, planned, { previous: previous!, loaded }),
  };
}

/** The stage's own changes come first; without any, those of its inputs. */
function whatChanged(
  stage: RecipeStage,
  before: PlannedStage,
  planned: ReadonlyMap<string, PlannedStage>,
  { previous, loaded }: { previous: Plan; loaded: LoadedRecipe },
): string {
  const changedInputs = neededIds(stage).filter((id) => {
    const earlier = previous.stages.find((other) => other.id === id);
    return earlier?.fingerprint !== planned.get(id)!.fingerprint;
  });
  const inputsChange = `input${changedInputs.length > 1 ? "s" : ""} ${changedInputs.join(", ")} ${
    changedInputs.length > 1 ? "change" : "changes"
  }`;
  // The model card quotes the whole recipe: its inputs say more than the quoted line.
  const own = stage.kind === "export" && changedInputs.length > 0 ? [] : ownChanges();
  const [first, ...rest] = own;
  if (first !== undefined) return rest.length === 0 ? first : `${first} and ${rest.length} more`;
  if (changedInputs.length > 0) return inputsChange;
  if (JSON.stringify(before.inputs) !== JSON.stringify(stage.inputs)) {
    return `inputs changed ${Object.values(before.inputs).join(", ")} -> ${Object.values(stage.inputs).join(", ")}`;
  }
  return "no artifact yet";

  function ownChanges(): string[] {
    const lines = describeChanges(before.params, stage, loaded);
    const version = previous.codeVersions[stage.kind];
    const current = codeVersions[stage.kind];
    if (version !== current) lines.push(`code of ${stage.kind} changed ${version} -> ${current}`);
    return lines;
  }
}
