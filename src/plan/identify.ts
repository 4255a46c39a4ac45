/** @file The stages of a recipe, each with its fingerprint. */
import { noMemo, type Memo } from "../base/memo.js";
import type { LoadedRecipe } from "../recipe/load.js";
import { isTraining, stageSections, type TrainingSection } from "../recipe/stage-sections.js";
import { writtenBatch } from "./batch.js";
import { topologicalOrder } from "./dag.js";
import type { IdentifiedStage } from "./decide.js";
import { fingerprint } from "./fingerprint.js";
import { resolveHardware } from "./hardware.js";
import type { PlanInputs } from "./plan.js";
import type { Outcome } from "./problem.js";
import { stagesOfRecipe, type RecipeStage, type StageHardwareOf } from "./stages-of-recipe.js";

type StageInputs = Pick<PlanInputs, "pins" | "locations" | "cores">;

/** Returns the stages of a recipe in order, without those that only repeat an earlier one. */
export function identify(
  loaded: LoadedRecipe,
  inputs: StageInputs,
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
  inputs: StageInputs,
  memo: Memo = noMemo,
): RecipeStage[] {
  const { pins, locations, cores } = inputs;
  const { recipe } = loaded;
  const sections = stageSections(recipe);
  const hardware = hardwareOf(loaded, sections.filter(isTraining), memo);
  return stagesOfRecipe({ recipe, sections, pins, locations, cores }, hardware, memo);
}

function hardwareOf(
  loaded: LoadedRecipe,
  trainings: readonly TrainingSection[],
  memo: Memo,
): StageHardwareOf {
  const { hardware } = loaded.recipe;
  const value = <Value>(outcome: Outcome<Value>): Value => {
    if (outcome.ok) return outcome.value;
    const { keyPath, message, details } = outcome.problems[0]!;
    throw loaded.errorAt(keyPath, { message, details });
  };
  const training = new Map(
    trainings.map(({ id, keyPath, settings }) => {
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
