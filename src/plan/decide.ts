/** @file What will be done with a stage, and why: reuse, resume or run. */
import type { LoadedRecipe } from "../recipe/load.js";
import { describeChanges } from "./changes.js";
import { codeVersions } from "./code-version.js";
import type { ExistingStage } from "./plan.js";
import type { PlannedStage, StageAction, StageKind } from "./stage.js";
import type { RecipeStage } from "./stages-of-recipe.js";

/** Returns what a stage of the recipe was in the previous plan. */
export type EarlierStage = (id: string) => PlannedStage | undefined;

/** A stage of a recipe with its identity. */
export interface IdentifiedStage {
  stage: RecipeStage;
  fingerprint: string;
  /** By input name; where stages of the recipe are the same, the first of them. */
  inputs: Readonly<Record<string, IdentifiedStage>>;
}

export interface DecisionInputs {
  found: ExistingStage | undefined;
  before: EarlierStage;
  codeVersionsBefore: Readonly<Record<StageKind, number>> | undefined;
  /** The recipe, or that of the trial; made only where a change is to be told. */
  loaded: () => LoadedRecipe;
}

/** Returns the action of a stage and its reason, in one line. */
export function decide(
  identified: IdentifiedStage,
  inputs: DecisionInputs,
): { action: StageAction; reason: string } {
  const { found } = inputs;
  if (found?.state === "finished") return { action: "reuse", reason: "finished, verified" };
  if (found?.state === "checkpoint") {
    return { action: "resume", reason: `checkpoint at step ${found.step}` };
  }
  if (found?.state === "damaged") return { action: "run", reason: "the artifact is damaged" };
  const before = inputs.before(identified.stage.id);
  if (before === undefined || before.fingerprint === identified.fingerprint) {
    return { action: "run", reason: "no artifact yet" };
  }
  return { action: "run", reason: whatChanged(identified, before, inputs) };
}

/** The stage's own changes come first; without any, those of its inputs. */
function whatChanged(
  { stage, inputs: needed }: IdentifiedStage,
  before: PlannedStage,
  inputs: DecisionInputs,
): string {
  const changed = Object.values(needed).filter(
    (input) => inputs.before(input.stage.id)?.fingerprint !== input.fingerprint,
  );
  const changedInputs = [...new Set(changed.map((input) => input.stage.id))];
  const inputsChange = `input${changedInputs.length > 1 ? "s" : ""} ${changedInputs.join(", ")} ${
    changedInputs.length > 1 ? "change" : "changes"
  }`;
  // The model card quotes the whole recipe: its inputs say more than the quoted line.
  const own =
    stage.kind === "export" && changedInputs.length > 0 ? [] : ownChanges(stage, before, inputs);
  const [first, ...rest] = own;
  if (first !== undefined) return rest.length === 0 ? first : `${first} and ${rest.length} more`;
  if (changedInputs.length > 0) return inputsChange;
  const now = Object.values(needed).map((input) => input.stage.id);
  const was = Object.values(before.inputs);
  if (was.join() !== now.join()) {
    return `inputs changed ${was.join(", ")} -> ${now.join(", ")}`;
  }
  return "no artifact yet";
}

function ownChanges(
  stage: RecipeStage,
  before: PlannedStage,
  { loaded, codeVersionsBefore }: DecisionInputs,
): string[] {
  const lines = describeChanges(before.params, stage, loaded());
  const version = codeVersionsBefore?.[stage.kind];
  const current = codeVersions[stage.kind];
  if (version !== current) lines.push(`code of ${stage.kind} changed ${version} -> ${current}`);
  return lines;
}
