/** @file The training stages. */
import { trainKeys, type Recipe, type TrainingSettings } from "../recipe/schema.js";
import { parseModelSource, RECIPE_MODEL, type TrainingSection } from "../recipe/stage-sections.js";
import type { ResolvedTrainingHardware } from "./hardware.js";
import type { TrainParams } from "./params.js";
import { dataStage, MODEL_STAGE, TOKENIZER_STAGE } from "./prepare-stages.js";
import { datasetsOf, pick, type StageDraft, type StageInputs } from "./stage-draft.js";

/** What a training needs beyond its recipe section: how its batches are shared out. */
export type TrainingBatches = Pick<
  ResolvedTrainingHardware,
  "globalBatchSize" | "groupRows" | "microBatchRows"
>;

/** Returns a training stage. */
export function trainingStage(
  { recipe, pins }: StageInputs,
  { id, kind, keyPath, from, settings }: TrainingSection,
  batches: TrainingBatches,
): StageDraft {
  const source = parseModelSource(from);
  const isFromStage = source.stage !== RECIPE_MODEL;
  const modelStage = isFromStage
    ? source.stage
    : pins.model === undefined
      ? undefined
      : MODEL_STAGE;
  const model: TrainParams["model"] =
    modelStage === undefined
      ? scratchModel(recipe, id)
      : { source: "input", ...(source.step !== undefined && { step: source.step }) };
  const train = trainingSettings(settings, batches);
  return {
    id,
    kind,
    inputs: {
      data: dataStage(id),
      tokenizer: TOKENIZER_STAGE,
      ...(modelStage !== undefined && { model: modelStage }),
    },
    params: { model, mask: recipe.mask, train, seed: recipe.seed },
    origins: {
      model: isFromStage ? `${keyPath}.from` : "model",
      mask: "mask",
      train: keyPath,
      "train.batch_size": `${keyPath}.per_device_train_batch_size`,
      "train.group_rows": `${keyPath}.per_device_train_batch_size`,
      seed: "seed",
    },
    microBatchRows: batches.microBatchRows,
    // Else only its data's stage reads them.
    ...("streaming" in settings &&
      settings.streaming && {
        sources: datasetsOf(pins, `${keyPath}.dataset_args`).map(({ name }) => name),
      }),
    ...(train.max_steps > 0 && { estimate: { units: train.max_steps, unit: "step" } }),
  };
}

function scratchModel(recipe: Recipe, id: string): TrainParams["model"] {
  const { family, config } = recipe.model;
  if (family === undefined || config === undefined) {
    throw new TypeError(`trainingStage: ${id} has no model`);
  }
  return { source: "scratch", family, config };
}

/** Settings that say how a step is shared out, which the number of its rows replaces. */
const DEVICE_KEYS: ReadonlySet<string> = new Set([
  "per_device_train_batch_size",
  "gradient_accumulation_steps",
  "global_batch_size",
]);
const STAGE_KEYS = trainKeys.filter((key) => !DEVICE_KEYS.has(key));

function trainingSettings(
  settings: TrainingSection["settings"],
  { globalBatchSize, groupRows }: TrainingBatches,
): TrainingSettings {
  return Object.assign(pick(settings, STAGE_KEYS), {
    batch_size: globalBatchSize,
    group_rows: settings.group_by_length ? groupRows : 0,
    keep_steps: settings.keep_steps ?? [],
  }) as TrainingSettings;
}
