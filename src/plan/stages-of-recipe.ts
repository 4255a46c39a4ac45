/** @file The stages of a recipe, and which recipe key each of their parameters comes from. */
import type { JsonObject } from "../base/json.js";
import type {
  EvalSettings,
  PretrainSettings,
  Recipe,
  SftSettings,
  TrainingStageName,
  TrainSettings,
} from "../recipe/schema.js";
import { evalKeys, trainKeys } from "../recipe/schema.js";
import type {
  EvalParams,
  ExportParams,
  PrepareChatParams,
  PrepareModelParams,
  PrepareTextParams,
  PrepareTokenizerParams,
  SourceParams,
  TrainParams,
} from "./params.js";
import type { Locations, PinnedDirectory, Pins } from "./pins.js";
import type { StageSpec } from "./stage.js";

/** A stage with the origin of its parameters: parameter path prefix to recipe key path. */
export interface RecipeStage extends StageSpec {
  origins: Readonly<Record<string, string>>;
}

export interface StageInputs {
  recipe: Recipe;
  pins: Pins;
  locations: Locations;
  /** CPU cores of this machine, for `hardware.threads: 0`. */
  cores: number;
}

type StageDraft = Pick<StageSpec, "id" | "kind" | "inputs"> & {
  params:
    | EvalParams
    | ExportParams
    | PrepareChatParams
    | PrepareModelParams
    | PrepareTextParams
    | PrepareTokenizerParams
    | TrainParams;
  origins: Record<string, string>;
  /** Names of the sources that the stage reads. */
  sources?: readonly string[];
  estimate?: StageSpec["estimate"];
};

/** Returns the stages of a recipe, each after its inputs. */
export function stagesOfRecipe(inputs: StageInputs): RecipeStage[] {
  const { recipe, pins } = inputs;
  const drafts: StageDraft[] = [];
  if (pins.model !== undefined) drafts.push(prepareModel(pins.model));
  if (recipe.pretrain ?? recipe.sft) drafts.push(prepareTokenizer(inputs));
  if (recipe.pretrain) drafts.push(preparePretrain(inputs, recipe.pretrain));
  if (recipe.sft) drafts.push(prepareSft(inputs, recipe.sft));
  if (recipe.pretrain) drafts.push(training(inputs, "pretrain", recipe.pretrain));
  if (recipe.sft) drafts.push(training(inputs, "sft", recipe.sft));
  const evals = recipe.eval ? evaluations(recipe, recipe.eval) : [];
  drafts.push(...evals);
  if (recipe.export) drafts.push(exporting(recipe, recipe.export, evals));
  return drafts.map((draft) => toStage(draft, inputs));
}

function toStage(draft: StageDraft, { recipe, locations, cores }: StageInputs): RecipeStage {
  const { sources = [], estimate, params, ...rest } = draft;
  const { device, threads } = recipe.hardware;
  return {
    ...rest,
    params: params as unknown as JsonObject,
    hardware: {
      engine: "onnx",
      launcher: "local",
      device,
      threads: threads === 0 ? cores : threads,
    },
    locations: Object.fromEntries(
      sources.map((name) => {
        const location = locations[name];
        if (location === undefined)
          throw new TypeError(`stage ${draft.id}: no location of ${name}`);
        return [name, location];
      }),
    ),
    ...(estimate !== undefined && { estimate }),
  };
}

function prepareModel({ name, files }: PinnedDirectory): StageDraft {
  return {
    id: "prepare-model",
    kind: "prepare",
    inputs: {},
    params: { task: "model", name, files },
    origins: { "": "model.name_or_path" },
    sources: [name],
  };
}

function prepareTokenizer({ recipe, pins }: StageInputs): StageDraft {
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
    id: "prepare-tokenizer",
    kind: "prepare",
    inputs: {},
    params: { task: "tokenizer", tokenizer, chat_template: chatTemplate },
    origins,
    sources,
  };
}

function preparePretrain({ recipe, pins }: StageInputs, settings: PretrainSettings): StageDraft {
  const sources = datasetsOf(pins, "pretrain.dataset_args");
  return {
    id: "prepare-pretrain",
    kind: "prepare",
    inputs: { tokenizer: "prepare-tokenizer" },
    params: {
      task: "text",
      sources,
      text_field: settings.text_field,
      max_length: settings.max_length,
      insert_eos: settings.insert_eos,
      drop_tail: settings.drop_tail,
      test_fraction: settings.test_fraction,
      seed: recipe.seed,
    },
    origins: { "": "pretrain", sources: "pretrain.dataset_args", seed: "seed" },
    sources: sources.map(({ name }) => name),
  };
}

function prepareSft({ recipe, pins }: StageInputs, settings: SftSettings): StageDraft {
  const sources = datasetsOf(pins, "sft.dataset_args");
  return {
    id: "prepare-sft",
    kind: "prepare",
    inputs: { tokenizer: "prepare-tokenizer" },
    params: {
      task: "chat",
      sources,
      max_length: settings.max_length,
      truncation: settings.truncation,
      mask_prompt_loss: settings.mask_prompt_loss,
      test_fraction: settings.test_fraction,
      seed: recipe.seed,
    },
    origins: { "": "sft", sources: "sft.dataset_args", seed: "seed" },
    sources: sources.map(({ name }) => name),
  };
}

function training(
  { recipe, pins }: StageInputs,
  id: TrainingStageName,
  settings: TrainSettings,
): StageDraft {
  const before = id === "sft" && recipe.pretrain ? "pretrain" : undefined;
  const modelStage = before ?? (pins.model === undefined ? undefined : "prepare-model");
  const { family, config } = recipe.model;
  let model: TrainParams["model"] = { source: "input" };
  if (modelStage === undefined) {
    if (family === undefined || config === undefined) {
      throw new TypeError(`stagesOfRecipe: ${id} has no model`);
    }
    model = { source: "scratch", family, config: { ...config } };
  }
  const train = pick(settings, trainKeys);
  return {
    id,
    kind: id,
    inputs: {
      data: `prepare-${id}`,
      tokenizer: "prepare-tokenizer",
      ...(modelStage !== undefined && { model: modelStage }),
    },
    params: { model, mask: recipe.mask, train, seed: recipe.seed },
    origins: { model: "model", mask: "mask", train: id, seed: "seed" },
    ...(train.max_steps > 0 && { estimate: { units: train.max_steps, unit: "step" } }),
  };
}

function evaluations(recipe: Recipe, settings: NonNullable<Recipe["eval"]>): StageDraft[] {
  const last = lastTrainingStage(recipe);
  if (last === undefined) throw new TypeError("stagesOfRecipe: eval without a training stage");
  const evaluation: EvalSettings = pick(settings, evalKeys);
  return (settings.from ?? [last]).map((from) => ({
    id: from === last ? "eval" : `eval-${from}`,
    kind: "eval",
    // All models are measured on the same rows: those of the last stage.
    inputs: { model: from, data: `prepare-${last}` },
    params: {
      eval: evaluation,
      sampler: settings.sampler,
      mask: recipe.mask,
      seed: recipe.seed,
    },
    origins: { eval: "eval", sampler: "eval.sampler", mask: "mask", seed: "seed" },
  }));
}

function exporting(
  recipe: Recipe,
  settings: NonNullable<Recipe["export"]>,
  evals: readonly StageDraft[],
): StageDraft {
  // The model card quotes the recipe; how it was run says nothing about the model.
  const quoted = Object.fromEntries(Object.entries(recipe).filter(([key]) => key !== "hardware"));
  return {
    id: "export",
    kind: "export",
    inputs: {
      model: lastTrainingStage(recipe) ?? "prepare-model",
      ...Object.fromEntries(evals.map(({ id }) => [id, id])),
    },
    params: { export: settings, recipe: quoted as unknown as JsonObject },
    origins: { export: "export", recipe: "" },
  };
}

function lastTrainingStage(recipe: Recipe): TrainingStageName | undefined {
  if (recipe.sft) return "sft";
  return recipe.pretrain ? "pretrain" : undefined;
}

function datasetsOf(pins: Pins, keyPath: string): readonly SourceParams[] {
  const sources = pins.datasets[keyPath];
  if (sources === undefined) throw new TypeError(`stagesOfRecipe: ${keyPath} is not pinned`);
  return sources;
}

function pick<Whole extends object, Key extends keyof Whole>(
  whole: Whole,
  keys: readonly Key[],
): Pick<Whole, Key> {
  return Object.fromEntries(keys.map((key) => [key, whole[key]])) as Pick<Whole, Key>;
}
