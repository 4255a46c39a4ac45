/** @file The keys of `tokenizer`. */
import { datasetArgs } from "./dataset-fields.js";
import { integer, list, map, optional, text } from "./fields.js";

export const tokenizerFields = {
  name_or_path: optional(
    text(
      "Directory with tokenizer.json, relative to the recipe; by default that of model.name_or_path.",
    ),
  ),
  train: optional(
    map("Train a byte-level BPE tokenizer.", {
      vocab_size: integer("Number of tokens, special tokens included.", {
        minimum: 300,
        maximum: 1_000_000,
      }),
      added_tokens: optional(
        list(
          "Texts that are one token each wherever they occur, such as the chat template's markers.",
          text("An added token."),
        ),
      ),
      dataset_args: datasetArgs("What to train it on, text or chat rows"),
    }),
  ),
  chat_template: optional(
    text(
      "Jinja chat template; by default the tokenizer's own, or else [Question]/[Answer] markers.",
    ),
  ),
};
