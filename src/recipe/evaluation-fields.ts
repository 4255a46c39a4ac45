/** @file The keys of an evaluation: its tasks, and the sampler of its answers. */
import { benchmarksFields } from "./benchmark-fields.js";
import {
  choice,
  flag,
  integer,
  list,
  map,
  number,
  optional,
  section,
  withDefault,
} from "./fields.js";
import { modelSource } from "./model-source.js";

export const samplerFields = {
  max_new_tokens: withDefault(128, integer("Tokens to generate.", { minimum: 1 })),
  block_size: withDefault(
    128,
    integer("Tokens unmasked together, block by block.", { minimum: 1 }),
  ),
  steps: withDefault(
    128,
    integer("Denoising steps over all blocks; at least one per block.", { minimum: 1 }),
  ),
  temperature: withDefault(
    0,
    number("Gumbel noise on the logits; 0 takes the most probable token.", { minimum: 0 }),
  ),
  remasking: withDefault(
    "low_confidence",
    choice("Which tokens stay masked after a step.", ["low_confidence", "random"]),
  ),
  stochastic_transfer: withDefault(
    false,
    flag("Draw the number of tokens revealed in a step instead of rounding it."),
  ),
  cfg_scale: withDefault(
    0,
    number("Strength of classifier-free guidance; 0 is off.", { minimum: 0 }),
  ),
  attention_mask: withDefault(
    "row",
    choice(
      "What the model sees of a batch: each row without its padding, or all that is no " +
        "end-of-sequence token before the first step (a batch of one row is seen whole).",
      ["row", "not_eos"],
    ),
  ),
};

export const evalTaskFields = {
  tasks: withDefault(
    ["heldout_likelihood"] as readonly ("heldout_likelihood" | "exact_match")[],
    list(
      "heldout_likelihood: nll and perplexity of the test split; exact_match: generated answers.",
      choice("A task.", ["heldout_likelihood", "exact_match"]),
    ),
  ),
  limit: withDefault(
    -1,
    integer("Most rows of the test split per task; -1 takes all.", { minimum: -1 }),
  ),
  batch_size: withDefault(32, integer("Rows of a batch.", { minimum: 1 })),
  mc_num: withDefault(
    32,
    integer("Noised copies of each row in heldout_likelihood.", { minimum: 1 }),
  ),
  // DIFFERS: the reference wraps them, though neither its training nor its chat does
  // (test/recipe/editions.test.ts).
  prompt_special_tokens: withDefault(
    false,
    flag(
      "Wrap the prompts of exact_match in the tokenizer's special tokens ([CLS] … [SEP]); where " +
        "`edition: head` is written, this is the default.",
    ),
  ),
};

export const evalBody = {
  ...evalTaskFields,
  benchmarks: optional(
    map("Benchmarks of lm-evaluation-harness, each a stage of its own.", benchmarksFields),
  ),
  sampler: section("How answers are generated.", samplerFields),
};

export const evalFields = {
  from: optional(
    list(
      "Stages whose models are evaluated; by default the last training stage.",
      modelSource("A stage, or model."),
    ),
  ),
  ...evalBody,
};
