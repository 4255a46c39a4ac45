/**
 * @file config.json of each model family: every field that Hugging Face transformers writes, with
 * the value that a model without it is read with. Recipes, models and exports take their defaults
 * from here. Source: huggingface/transformers@v4.57.6 models/{modernbert,bert,roberta}/
 * configuration_*.py.
 *
 * Of the special tokens only padding is here, which shapes a model; the others come from the
 * tokenizer.
 */
import type { JsonObject } from "./json.js";

/** What BERT and RoBERTa have in common. */
const bertDefaults = {
  attention_probs_dropout_prob: 0.1,
  classifier_dropout: null,
  hidden_act: "gelu",
  hidden_dropout_prob: 0.1,
  hidden_size: 768,
  initializer_range: 0.02,
  intermediate_size: 3072,
  num_attention_heads: 12,
  num_hidden_layers: 12,
  position_embedding_type: "absolute",
  use_cache: true,
} as const;

export const configDefaults = {
  modernbert: {
    architectures: ["ModernBertForMaskedLM"],
    attention_bias: false,
    attention_dropout: 0,
    classifier_activation: "gelu",
    classifier_bias: false,
    classifier_dropout: 0,
    classifier_pooling: "cls",
    decoder_bias: true,
    deterministic_flash_attn: false,
    embedding_dropout: 0,
    global_attn_every_n_layers: 3,
    global_rope_theta: 160_000,
    hidden_activation: "gelu",
    hidden_size: 768,
    initializer_cutoff_factor: 2,
    initializer_range: 0.02,
    intermediate_size: 1152,
    local_attention: 128,
    local_rope_theta: 10_000,
    max_position_embeddings: 8192,
    mlp_bias: false,
    mlp_dropout: 0,
    norm_bias: false,
    norm_eps: 1e-5,
    num_attention_heads: 12,
    num_hidden_layers: 22,
    pad_token_id: 50283,
    repad_logits_with_grad: false,
    sparse_pred_ignore_index: -100,
    sparse_prediction: false,
    vocab_size: 50368,
  },
  bert: {
    ...bertDefaults,
    architectures: ["BertForMaskedLM"],
    layer_norm_eps: 1e-12,
    max_position_embeddings: 512,
    pad_token_id: 0,
    type_vocab_size: 2,
    vocab_size: 30522,
  },
  roberta: {
    ...bertDefaults,
    architectures: ["RobertaForMaskedLM"],
    layer_norm_eps: 1e-5,
    max_position_embeddings: 514,
    pad_token_id: 1,
    type_vocab_size: 1,
    vocab_size: 50265,
  },
} as const satisfies Readonly<Record<string, JsonObject>>;

export type ModelFamily = keyof typeof configDefaults;

export const modelFamilyNames = Object.keys(configDefaults) as readonly ModelFamily[];

/**
 * Returns the longest sequence that a model can read, in tokens. RoBERTa counts positions from
 * behind its padding id, so that the first rows of its table belong to no token.
 */
export function usablePositions(
  family: ModelFamily,
  { maxPositionEmbeddings, padTokenId }: { maxPositionEmbeddings: number; padTokenId: number },
): number {
  return family === "roberta" ? maxPositionEmbeddings - (padTokenId + 1) : maxPositionEmbeddings;
}
