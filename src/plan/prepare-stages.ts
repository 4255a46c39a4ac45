/** @file The `prepare` stages: what trainings start from, the tokenizer and the data. */
import type { SftSettings, PretrainSettings } from "../recipe/schema.js";
import type { TrainingSection } from "../recipe/stage-sections.js";
import type { PrepareTokenizerParams } from "./params.js";
import type { PinnedDirectory } from "./pins.js";
import { datasetsOf, type StageDraft, type StageInputs } from "./stage-draft.js";

export const MODEL_STAGE = "prepare-model";
export const TOKENIZER_STAGE = "prepare-tokenizer";

/** The id of the stage that prepares a training's data. */
export function dataStage(training: string): string {
  return `prepare-${training}`;
}

export function prepareModel({ name, files, hub }: PinnedDirectory): StageDraft {
  return {
    id: MODEL_STAGE,
    kind: "prepare",
    inputs: {},
    params: { task: "model", name, files, ...(hub !== undefined && { hub }) },
    origins: { "": "model.name_or_path" },
    sources: [name],
  };
}

export function prepareTokenizer({ recipe, pins }: StageInputs): StageDraft {
  const chatTemplate = recipe.tokenizer?.chat_template ?? null;
  const train = recipe.tokenizer?.train;
  const origins: Record<string, string> = { chat_template: "tokenizer.chat_template" };
  let tokenizer: PrepareTokenizerParams["tokenizer"];
  let sources: readonly string[];
  if (train !== undefined) {
    const text = datasetsOf(pins, "tokenizer.train.dataset_args");
    const { vocab_size, added_tokens = [] } = train;
    tokenizer = { source: "train", vocab_size, added_tokens, text };
    sources = text.map(({ name }) => name);
    origins["tokenizer"] = "tokenizer.train";
    origins["tokenizer.text"] = "tokenizer.train.dataset_args";
  } else {
    if (pins.tokenizer === undefined) throw new TypeError("stagesOfRecipe: no tokenizer is pinned");
    tokenizer = { source: "files", ...pins.tokenizer };
    sources = [pins.tokenizer.name];
    origins["tokenizer"] =
      recipe.tokenizer?.name_or_path === undefined
        ? "model.name_or_path"
        : "tokenizer.name_or_path";
  }
  return {
    id: TOKENIZER_STAGE,
    kind: "prepare",
    inputs: {},
    params: { task: "tokenizer", tokenizer, chat_template: chatTemplate },
    origins,
    sources,
  };
}

/** Returns the stage that prepares the data of a training. */
export function prepareData(inputs: StageInputs, section: TrainingSection): StageDraft {
  const { keyPath } = section;
  const sources = datasetsOf(inputs.pins, `${keyPath}.dataset_args`);
  return {
    id: dataStage(section.id),
    kind: "prepare",
    inputs: { tokenizer: TOKENIZER_STAGE },
    params: { ...dataParams(section), sources, seed: inputs.recipe.seed },
    origins: { "": keyPath, sources: `${keyPath}.dataset_args`, seed: "seed" },
    sources: sources.map(({ name }) => name),
  };
}

/** Returns the settings of a training that decide how its data is prepared. */
export function dataParams({ kind, settings }: TrainingSection) {
  return kind === "pretrain"
    ? textParams(settings as PretrainSettings)
    : chatParams(settings as SftSettings);
}

function textParams(settings: PretrainSettings) {
  return {
    task: "text",
    text_field: settings.text_field,
    max_length: settings.max_length,
    insert_eos: settings.insert_eos,
    drop_tail: settings.drop_tail,
    // Of rows that are not counted there is no share.
    test_fraction: settings.streaming ? 0 : settings.test_fraction,
    on_bad_row: settings.on_bad_row,
    max_bad_row_ratio: settings.max_bad_row_ratio,
    stopping_strategy: settings.stopping_strategy,
    streaming: settings.streaming,
  } as const;
}

function chatParams(settings: SftSettings) {
  return {
    task: "chat",
    max_length: settings.max_length,
    truncation: settings.truncation,
    mask_prompt_loss: settings.mask_prompt_loss,
    test_fraction: settings.test_fraction,
    on_bad_row: settings.on_bad_row,
    max_bad_row_ratio: settings.max_bad_row_ratio,
    stopping_strategy: settings.stopping_strategy,
  } as const;
}
