/**
 * @file The `model` section: keys of a config.json, family by family, and published sizes by
 * name. Sources of the sizes: config.json of answerdotai/ModernBERT-large,
 * google-bert/bert-{base,large}-{un,}cased and FacebookAI/roberta-{base,large}.
 */
import { configDefaults, modelFamilyNames, type ModelFamily } from "../base/model-config.js";
import {
  choice,
  integer,
  map,
  number,
  optional,
  text,
  withDefault,
  type Field,
  type Fields,
} from "./fields.js";

/** Of a model from scratch with neither `preset` nor `family`. */
export const DEFAULT_FAMILY = "modernbert" satisfies ModelFamily;

const positive = { minimum: 1 };
const aboveZero = { exclusiveMinimum: 0 };

const dropout = (defaultValue: number, of: string) =>
  withDefault<number>(
    defaultValue,
    number(`Share of ${of} that training drops.`, { minimum: 0, exclusiveMaximum: 1 }),
  );

/** The keys that all families have. */
function sharedFields(family: ModelFamily, headRule: string) {
  const defaults = configDefaults[family];
  return {
    hidden_size: withDefault<number>(
      defaults.hidden_size,
      integer("Width of the hidden states.", { minimum: 2 }),
    ),
    num_hidden_layers: withDefault<number>(
      defaults.num_hidden_layers,
      integer("Number of layers.", positive),
    ),
    num_attention_heads: withDefault<number>(
      defaults.num_attention_heads,
      integer(`Attention heads; hidden_size must be ${headRule} of it.`, positive),
    ),
    intermediate_size: withDefault<number>(
      defaults.intermediate_size,
      integer("Width inside the feed-forward layer.", positive),
    ),
    initializer_range: withDefault<number>(
      defaults.initializer_range,
      number("Standard deviation of the initial weights.", aboveZero),
    ),
    vocab_size: optional(
      integer(
        "Rows of the embedding table, at least the tokenizer's size; by default equal to it.",
        positive,
      ),
    ),
  };
}

const variance = "Added to the variance in layer normalisation.";

const modernBertFields = {
  ...sharedFields("modernbert", "an even multiple"),
  max_position_embeddings: withDefault<number>(
    configDefaults.modernbert.max_position_embeddings,
    integer("Longest sequence the model is meant for, in tokens.", positive),
  ),
  global_attn_every_n_layers: withDefault<number>(
    configDefaults.modernbert.global_attn_every_n_layers,
    integer("Every n-th layer (from the first) attends globally, the others locally.", positive),
  ),
  local_attention: withDefault<number>(
    configDefaults.modernbert.local_attention,
    integer("Window of the local layers: half of it to either side, in tokens.", { minimum: 2 }),
  ),
  global_rope_theta: withDefault<number>(
    configDefaults.modernbert.global_rope_theta,
    number("Base of the rotary angles in global layers.", aboveZero),
  ),
  local_rope_theta: withDefault<number>(
    configDefaults.modernbert.local_rope_theta,
    number("Base of the rotary angles in local layers.", aboveZero),
  ),
  norm_eps: withDefault<number>(configDefaults.modernbert.norm_eps, number(variance, aboveZero)),
  initializer_cutoff_factor: withDefault<number>(
    configDefaults.modernbert.initializer_cutoff_factor,
    number("Initial weights are cut off at this many standard deviations.", aboveZero),
  ),
  embedding_dropout: dropout(configDefaults.modernbert.embedding_dropout, "the embedding"),
  attention_dropout: dropout(
    configDefaults.modernbert.attention_dropout,
    "the attention probabilities, and of what attention adds,",
  ),
  mlp_dropout: dropout(
    configDefaults.modernbert.mlp_dropout,
    "the activations inside the feed-forward layer",
  ),
};

function bertFields(family: "bert" | "roberta", positions: string) {
  const defaults = configDefaults[family];
  return {
    ...sharedFields(family, "a multiple"),
    max_position_embeddings: withDefault<number>(
      defaults.max_position_embeddings,
      integer(positions, positive),
    ),
    type_vocab_size: withDefault<number>(
      defaults.type_vocab_size,
      integer("Rows of the token type table, of which the first is used.", positive),
    ),
    layer_norm_eps: withDefault<number>(defaults.layer_norm_eps, number(variance, aboveZero)),
    hidden_dropout_prob: dropout(
      defaults.hidden_dropout_prob,
      "the embedding, and of what each part of a layer adds,",
    ),
    attention_probs_dropout_prob: dropout(
      defaults.attention_probs_dropout_prob,
      "the attention probabilities",
    ),
  };
}

/** The keys of `model.config` that belong to each family. */
export const modelConfigFields = {
  modernbert: modernBertFields,
  bert: bertFields("bert", "Rows of the position table: the longest sequence, in tokens."),
  roberta: bertFields(
    "roberta",
    "Rows of the position table: the longest sequence, and those up to the padding id.",
  ),
} satisfies Record<ModelFamily, Fields>;

interface ModelPreset {
  family: ModelFamily;
  /** Where the model differs from the defaults of its family. */
  config: Readonly<Record<string, number>>;
}

const largeBert = {
  hidden_size: 1024,
  num_hidden_layers: 24,
  num_attention_heads: 16,
  intermediate_size: 4096,
};
const casedVocabulary = { vocab_size: 28_996 };

/** Published architectures by name. */
export const modelPresets = {
  "modernbert-base": { family: "modernbert", config: {} },
  "modernbert-large": {
    family: "modernbert",
    config: {
      hidden_size: 1024,
      num_hidden_layers: 28,
      num_attention_heads: 16,
      intermediate_size: 2624,
    },
  },
  "bert-base-uncased": { family: "bert", config: {} },
  "bert-large-uncased": { family: "bert", config: largeBert },
  "bert-base-cased": { family: "bert", config: casedVocabulary },
  "bert-large-cased": { family: "bert", config: { ...largeBert, ...casedVocabulary } },
  "roberta-base": { family: "roberta", config: {} },
  "roberta-large": { family: "roberta", config: largeBert },
} satisfies Record<string, ModelPreset>;

export type ModelPresetName = keyof typeof modelPresets;

export const modelPresetNames = Object.keys(modelPresets) as readonly ModelPresetName[];

/** Returns the names of a family's presets. */
export function presetsOf(family: ModelFamily): ModelPresetName[] {
  return modelPresetNames.filter((name) => modelPresets[name].family === family);
}

/**
 * Returns the values of a family's config keys that a recipe need not write: those of the preset,
 * its vocabulary included; without one the family's defaults.
 */
export function modelConfigDefaults(
  family: ModelFamily,
  preset: ModelPresetName | undefined,
): Readonly<Record<string, number>> {
  const defaults: Record<string, number> = {};
  for (const [key, field] of Object.entries(modelConfigFields[family]) as [string, Field][]) {
    if (field.presence === "defaulted") defaults[key] = field.defaultValue as number;
  }
  if (preset === undefined) return defaults;
  const { vocab_size } = configDefaults[family];
  return { ...defaults, vocab_size, ...modelPresets[preset].config };
}

type ConfigKey = keyof typeof modernBertFields | keyof ReturnType<typeof bertFields>;

/** The keys of all families, none of which has a default by itself. */
const anyConfigFields = Object.fromEntries(
  Object.values(modelConfigFields).flatMap((fields: Fields) =>
    Object.entries(fields).map(([key, { shape, doc }]) => [
      key,
      { shape, doc, presence: "optional" },
    ]),
  ),
) as Record<ConfigKey, Field<number, "optional">>;

export const modelFields = {
  name_or_path: optional(
    text(
      "Start from this model: a directory in Hugging Face layout, relative to the recipe, or a " +
        "model of the hub.",
    ),
  ),
  revision: optional(text("Branch, tag or commit of a Hugging Face model; by default `main`.")),
  preset: optional(
    choice(
      "Start from scratch with a published architecture; config may change parts of it.",
      modelPresetNames,
    ),
  ),
  family: optional(
    choice(
      `Architecture of a model from scratch; by default the preset's, or else ${DEFAULT_FAMILY}.`,
      modelFamilyNames,
    ),
  ),
  config: optional(
    map("Start from scratch with this config (Hugging Face config.json keys).", anyConfigFields),
  ),
};
