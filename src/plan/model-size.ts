/**
 * @file How large a model is, from its configuration alone: the counts behind memory and time.
 * Sources of the shapes: huggingface/transformers@v4.57.6 models/{modernbert,bert,roberta}/
 * modeling_*.py; held against src/model's own parameters in test/plan/model-size.test.ts.
 */
import { configDefaults, modelFamilyNames, type ModelFamily } from "../base/model-config.js";
import { modelPresets, type ModelPresetName } from "../recipe/model-fields.js";
import type { Recipe } from "../recipe/schema.js";

/** What decides a model's size and speed. */
export interface ModelShape {
  family: ModelFamily;
  hidden: number;
  layers: number;
  heads: number;
  intermediate: number;
  vocabulary: number;
  /** Rows of the position and token type tables; ModernBERT has neither. */
  positions: number;
  tokenTypes: number;
  /** Every how many layers one attends to the whole sequence (ModernBERT), else 1. */
  globalEvery: number;
  /** Positions that a local layer sees, itself included. */
  window: number;
}

/** Numbers of parameters; the decoder shares the embedding's table, which counts once. */
export interface ParameterCounts {
  embedding: number;
  /** One encoder layer. */
  layer: number;
  /** All of them. */
  layers: number;
  /** Behind the last layer: final norm, transform, decoder bias. */
  head: number;
  total: number;
}

/** Returns the shape of a published architecture. */
export function presetShape(preset: ModelPresetName): ModelShape {
  const { family, config } = modelPresets[preset];
  return shapeOf(family, config);
}

/** Returns a shape from the keys of a config.json; absent ones have the family's defaults. */
export function shapeOf(
  family: ModelFamily,
  config: Readonly<Record<string, unknown>>,
): ModelShape {
  const read = (key: string): number => {
    const value = config[key] ?? (configDefaults[family] as Record<string, unknown>)[key];
    if (typeof value !== "number") throw new TypeError(`shapeOf: ${family} has no ${key}`);
    return value;
  };
  const isModernBert = family === "modernbert";
  return {
    family,
    hidden: read("hidden_size"),
    layers: read("num_hidden_layers"),
    heads: read("num_attention_heads"),
    intermediate: read("intermediate_size"),
    vocabulary: read("vocab_size"),
    positions: isModernBert ? 0 : read("max_position_embeddings"),
    tokenTypes: isModernBert ? 0 : read("type_vocab_size"),
    globalEvery: isModernBert ? read("global_attn_every_n_layers") : 1,
    window: isModernBert ? 2 * Math.floor(read("local_attention") / 2) + 1 : Infinity,
  };
}

/** Returns the number of parameters of a model and of its parts. */
export function countParameters(shape: ModelShape): ParameterCounts {
  return shape.family === "modernbert" ? modernBertCounts(shape) : bertCounts(shape);
}

function modernBertCounts(shape: ModelShape): ParameterCounts {
  const { hidden: h, intermediate: i, layers, vocabulary } = shape;
  const layer = 4 * h * h + 3 * h * i + 2 * h; // Wqkv, Wo; Wi (twice as wide), Wo; two norms
  return sum({
    embedding: vocabulary * h + h,
    layer,
    layers: layers * layer - h, // the first layer has no attention norm
    head: h + h * h + h + vocabulary, // final norm; dense, its norm, decoder bias
  });
}

function bertCounts(shape: ModelShape): ParameterCounts {
  const { hidden: h, intermediate: i, layers, vocabulary, positions, tokenTypes } = shape;
  const attention = 4 * (h * h + h) + 2 * h;
  const layer = attention + 2 * h * i + i + h + 2 * h;
  return sum({
    embedding: (vocabulary + positions + tokenTypes) * h + 2 * h,
    layer,
    layers: layers * layer,
    head: h * h + h + 2 * h + vocabulary,
  });
}

function sum(parts: Omit<ParameterCounts, "total">): ParameterCounts {
  return { ...parts, total: parts.embedding + parts.layers + parts.head };
}

/** Published models by hub name; without an owner, as they were named before. */
const published: Readonly<Record<string, ModelPresetName>> = {
  "answerdotai/ModernBERT-base": "modernbert-base",
  "answerdotai/ModernBERT-large": "modernbert-large",
  "dllm-collection/ModernBERT-base-chat-v0": "modernbert-base",
  "dllm-collection/ModernBERT-large-chat-v0": "modernbert-large",
  "dllm-hub/ModernBERT-base-chat-v0.1": "modernbert-base",
  "dllm-hub/ModernBERT-large-chat-v0.1": "modernbert-large",
  "google-bert/bert-base-uncased": "bert-base-uncased",
  "google-bert/bert-large-uncased": "bert-large-uncased",
  "google-bert/bert-base-cased": "bert-base-cased",
  "google-bert/bert-large-cased": "bert-large-cased",
  "FacebookAI/roberta-base": "roberta-base",
  "FacebookAI/roberta-large": "roberta-large",
  "bert-base-uncased": "bert-base-uncased",
  "bert-large-uncased": "bert-large-uncased",
  "bert-base-cased": "bert-base-cased",
  "bert-large-cased": "bert-large-cased",
  "roberta-base": "roberta-base",
  "roberta-large": "roberta-large",
};

/** Returns the architecture of a published model, if its hub name is known. */
export function presetOfModel(name: string): ModelPresetName | undefined {
  return Object.hasOwn(published, name) ? published[name] : undefined;
}

/**
 * Returns the shape of a recipe's model, or undefined where only its files know it.
 * @param config config.json of a model that exists here
 */
export function recipeModelShape(
  { model, tokenizer }: Pick<Recipe, "model" | "tokenizer">,
  config?: Readonly<Record<string, unknown>>,
): ModelShape | undefined {
  if (config !== undefined) {
    const family = modelFamilyNames.find((name) => name === config["model_type"]);
    // What is wrong in a model's files is said where they are read, not here.
    return family && sizesAreNumbers(config) ? shapeOf(family, config) : undefined;
  }
  if (model.name_or_path !== undefined) {
    const preset = presetOfModel(model.name_or_path);
    return preset && presetShape(preset);
  }
  const family = model.family ?? (model.preset && modelPresets[model.preset].family);
  if (family === undefined) return undefined;
  const ofPreset = model.preset === undefined ? {} : modelPresets[model.preset].config;
  const written = { ...ofPreset, ...model.config } as Readonly<Record<string, unknown>>;
  // Without a size of its own, the vocabulary is the tokenizer's.
  const vocab_size =
    written["vocab_size"] ??
    (model.preset === undefined ? tokenizer?.train?.vocab_size : undefined);
  if (vocab_size === undefined && model.preset === undefined) return undefined;
  return shapeOf(family, vocab_size === undefined ? written : { ...written, vocab_size });
}

function sizesAreNumbers(config: Readonly<Record<string, unknown>>): boolean {
  const isSize = (value: unknown) => Number.isSafeInteger(value) && (value as number) >= 0;
  return [
    "hidden_size",
    "num_hidden_layers",
    "num_attention_heads",
    "intermediate_size",
    "vocab_size",
    "max_position_embeddings",
    "type_vocab_size",
    "global_attn_every_n_layers",
    "local_attention",
  ].every((key) => config[key] === undefined || isSize(config[key]));
}
