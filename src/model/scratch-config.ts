/** @file The config.json of a model that is trained from scratch. */
import type { JsonObject } from "../base/json.js";
import { configDefaults, type ModelFamily } from "../base/model-config.js";
import type { TokenIds } from "./family.js";

/**
 * Returns the whole config.json, keys in order, as transformers writes it.
 * @param json hyperparameters, which win over everything else
 * @param own what the family decides beside its defaults
 */
export function scratchConfig(
  family: ModelFamily,
  json: JsonObject,
  ids: TokenIds,
  own: JsonObject = {},
): JsonObject {
  const fields: JsonObject = {
    ...configDefaults[family],
    bos_token_id: ids.bosId,
    dtype: "float32",
    eos_token_id: ids.eosId,
    model_type: family,
    pad_token_id: ids.padId,
    tie_word_embeddings: true,
    vocab_size: ids.vocabSize,
    ...own,
    ...json,
  };
  return Object.fromEntries(Object.entries(fields).sort(([a], [b]) => (a < b ? -1 : 1)));
}
