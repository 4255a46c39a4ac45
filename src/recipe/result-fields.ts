/**
 * @file The keys of the sections that use a trained model: `eval` with its sampler, and `export`.
 * Names and defaults are those of ZHZisZZ/dllm@ca17675 (dllm/core/samplers/mdlm.py,
 * dllm/utils/configs.py) unless a line says DIFFERS.
 */
import {
  choice,
  flag,
  integer,
  list,
  map,
  number,
  optional,
  section,
  text,
  withDefault,
} from "./fields.js";
import { benchmarksFields } from "./benchmark-fields.js";

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

/** `sft`, `sft@2000` (the model it kept at that step), or `model`. */
export const modelSource = (doc: string) =>
  text(doc, {
    pattern: "^[a-z0-9][a-z0-9_-]{0,63}(@[1-9]\\d*)?$",
    patternHint: "a stage such as sft, one of its kept steps such as sft@2000, or model",
  });

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

export const exportBody = {
  formats: withDefault(
    ["safetensors", "onnx"] as readonly ("safetensors" | "onnx")[],
    list("Files to write beside the tokenizer and the model card.", {
      ...choice("A format.", ["safetensors", "onnx"]),
    }),
  ),
};

export const exportFields = {
  from: optional(
    modelSource("The stage whose model is exported; by default the last training stage."),
  ),
  ...exportBody,
};
