/** @file The stages that use a trained model: evaluations, benchmarks and exports. */
import type { JsonObject } from "../base/json.js";
import type { BenchmarkName } from "../recipe/benchmark-fields.js";
import { evalKeys, type Recipe } from "../recipe/schema.js";
import {
  parseModelSource,
  RECIPE_MODEL,
  type EvalSection,
  type ExportSection,
  type ModelSource,
} from "../recipe/stage-sections.js";
import { dataStage, MODEL_STAGE } from "./prepare-stages.js";
import { pick, type StageDraft } from "./stage-draft.js";

/** Returns the stages of an evaluation: one per model, and one per model and benchmark. */
export function evaluationStages(recipe: Recipe, section: EvalSection): StageDraft[] {
  return section.from.flatMap((text) => {
    const source = parseModelSource(text);
    const id = evaluationId(section, text);
    return [
      evaluation(recipe, section, { id, source }),
      ...benchmarks(recipe, section, { id, source }),
    ];
  });
}

/** `eval` where there is one model or it is that of the data, else `eval-pretrain`. */
function evaluationId({ id, from, data }: EvalSection, source: string): string {
  return from.length === 1 || (id === "eval" && source === data) ? id : `${id}-${source}`;
}

function evaluation(
  recipe: Recipe,
  { keyPath, data, settings }: EvalSection,
  { id, source }: { id: string; source: ModelSource },
): StageDraft {
  return {
    id,
    kind: "eval",
    inputs: { model: modelStageOf(source), data: dataStage(data ?? source.stage) },
    params: {
      ...stepOf(source),
      eval: pick(settings, evalKeys),
      sampler: settings.sampler,
      mask: recipe.mask,
      seed: recipe.seed,
    },
    origins: {
      step: `${keyPath}.from`,
      eval: keyPath,
      sampler: `${keyPath}.sampler`,
      mask: "mask",
      seed: "seed",
    },
  };
}

function benchmarks(
  recipe: Recipe,
  { keyPath, settings }: EvalSection,
  { id, source }: { id: string; source: ModelSource },
): StageDraft[] {
  return Object.entries(settings.benchmarks ?? {}).map(([benchmark, own]) => ({
    id: `${id}-${benchmark}`,
    kind: "eval",
    inputs: { model: modelStageOf(source) },
    params: {
      benchmark: benchmark as BenchmarkName,
      ...stepOf(source),
      settings: own,
      sampler: settings.sampler,
      prompt_special_tokens: settings.prompt_special_tokens,
      seed: recipe.seed,
    },
    origins: {
      benchmark: `${keyPath}.benchmarks`,
      step: `${keyPath}.from`,
      settings: `${keyPath}.benchmarks.${benchmark}`,
      sampler: `${keyPath}.sampler`,
      prompt_special_tokens: `${keyPath}.prompt_special_tokens`,
      seed: "seed",
    },
  }));
}

/**
 * Returns the stage of an export. It quotes those of the evaluations that are of its model, or of
 * one that its model was trained from.
 */
export function exportStage(
  recipe: Recipe,
  { id, keyPath, from, settings }: ExportSection,
  { earlier, lineage }: { earlier: readonly StageDraft[]; lineage: (stage: string) => string[] },
): StageDraft {
  const source = parseModelSource(from);
  const model = modelStageOf(source);
  const ancestors = lineage(model);
  const quotedEvals = earlier.filter(
    ({ kind, inputs, params }) =>
      kind === "eval" && !("benchmark" in params) && ancestors.includes(inputs["model"]!),
  );
  return {
    id,
    kind: "export",
    inputs: { model, ...Object.fromEntries(quotedEvals.map((each) => [each.id, each.id])) },
    params: { ...stepOf(source), export: settings, recipe: quotedRecipe(recipe) },
    origins: { step: `${keyPath}.from`, export: keyPath, recipe: "" },
  };
}

/** Keys that say how a recipe is run or compared: nothing about the model. */
const NOT_QUOTED: ReadonlySet<string> = new Set(["hardware", "sweep", "expects", "reproduces"]);

/** The model card quotes the recipe. */
function quotedRecipe(recipe: Recipe): JsonObject {
  const quoted = Object.entries(recipe).filter(([key]) => !NOT_QUOTED.has(key));
  return Object.fromEntries(quoted) as unknown as JsonObject;
}

function modelStageOf({ stage }: ModelSource): string {
  return stage === RECIPE_MODEL ? MODEL_STAGE : stage;
}

function stepOf({ step }: ModelSource): { step?: number } {
  return step === undefined ? {} : { step };
}
