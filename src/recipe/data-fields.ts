/**
 * @file The keys that say which rows a stage reads. Names and defaults are those of
 * ZHZisZZ/dllm@ca17675 (dllm/utils/configs.py, dllm/data/utils.py) unless a line says DIFFERS.
 */
import {
  choice,
  either,
  integer,
  list,
  map,
  number,
  optional,
  text,
  withDefault,
} from "./fields.js";

/** One dataset of the list form of `dataset_args`; each key is also a `[key:value]` of the text. */
export const datasetFields = {
  name: text("A file or directory relative to the recipe, `npm:<package>/<path>`, or hub id."),
  config: optional(text("Configuration of a hub dataset.")),
  split: optional(text("Split that the training rows come from.")),
  revision: optional(text("Branch, tag or commit of a hub dataset; by default `main`.")),
  weight: optional(
    number("Sampling weight in an interleaved mix; all datasets have one or none has.", {
      exclusiveMinimum: 0,
    }),
  ),
  max_samples: optional(
    integer("Most rows to take of each split, the first ones.", { minimum: 1 }),
  ),
  train: optional(integer("Rows of the training split, the first ones.", { minimum: 1 })),
  test: optional(integer("Rows of the test split, the first ones.", { minimum: 1 })),
  lang: optional(text("Keep rows of this language (OpenCoder datasets).")),
  messages: optional(text("Column that holds a list of messages.")),
  prompt: optional(text("Column of the question, with `completion`.")),
  completion: optional(text("Column of its answer.")),
  text: optional(text("Column of the text to pretrain on; by default the section's text_field.")),
};

export const datasetArgs = (what: string) =>
  either(
    `${what}: one or more of \`name[key:value,…]\` joined with \`+\` or \`|\`, or a list of ` +
      "datasets; a name is a file or directory relative to the recipe, `npm:<package>/<path>`, " +
      "or a Hugging Face dataset.",
    text("Datasets as a text."),
    list("Datasets as a list.", map("A dataset.", datasetFields)),
  );

export const stoppingStrategy = withDefault(
  "first_exhausted",
  choice("Where datasets have weights, the mix ends with the first, or when all have been seen.", [
    "first_exhausted",
    "all_exhausted",
  ]),
);

export const testFraction = withDefault(
  0.05,
  number("Share of the rows split off as the test split where a dataset brings none.", {
    minimum: 0,
    exclusiveMaximum: 1,
  }),
);

export const badRowFields = {
  on_bad_row: withDefault(
    "error",
    choice("A row that cannot be read, or holds nothing to train on, is an error or left out.", [
      "error",
      "skip",
    ]),
  ),
  max_bad_row_ratio: withDefault(
    0.01,
    number("Greatest share of bad rows of a dataset that is left out; more is an error.", {
      minimum: 0,
      maximum: 1,
    }),
  ),
};
