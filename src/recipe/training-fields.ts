/**
 * @file The keys of the sections `pretrain` and `sft`. Names and defaults are those of
 * ZHZisZZ/dllm@ca17675 (dllm/utils/configs.py, dllm/core/trainers/mdlm.py, examples/bert) unless a
 * line says DIFFERS.
 */
import { choice, flag, integer, list, number, optional, text, withDefault } from "./fields.js";
import { badRowFields, datasetArgs, stoppingStrategy, testFraction } from "./data-fields.js";

const stepsOrFraction = (what: string) =>
  number(`${what} every so many steps; below 1, a fraction of all steps.`, { exclusiveMinimum: 0 });

/** What `pretrain` and `sft` have in common; see `TrainSettings`. */
export const trainFields = {
  learning_rate: withDefault(1e-4, number("Peak learning rate.", { exclusiveMinimum: 0 })),
  lr_scheduler_type: withDefault(
    "cosine",
    choice("Shape of the learning rate after the warm-up; `constant` has no warm-up.", [
      "cosine",
      "linear",
      "constant_with_warmup",
      "constant",
    ]),
  ),
  warmup_ratio: withDefault(
    0.1,
    number("Share of all steps in which the learning rate rises from 0.", {
      minimum: 0,
      maximum: 1,
    }),
  ),
  warmup_steps: withDefault(
    0,
    integer("Warm-up in steps; 0 leaves it to warmup_ratio.", { minimum: 0 }),
  ),
  num_train_epochs: withDefault(20, number("Passes over the data.", { exclusiveMinimum: 0 })),
  max_steps: withDefault(
    -1,
    integer("Optimizer steps; -1 leaves it to num_train_epochs.", { minimum: -1 }),
  ),
  per_device_train_batch_size: withDefault(16, integer("Rows of a micro-batch.", { minimum: 1 })),
  per_device_eval_batch_size: withDefault(
    16,
    integer("Rows of a batch in evaluations during the training.", { minimum: 1 }),
  ),
  gradient_accumulation_steps: withDefault(
    1,
    integer("Micro-batches per optimizer step.", { minimum: 1 }),
  ),
  global_batch_size: optional(
    integer(
      "Rows of an optimizer step over all devices; by default per_device_train_batch_size × " +
        "devices × gradient_accumulation_steps. Written, it is kept exactly on any devices.",
      { minimum: 1 },
    ),
  ),
  weight_decay: withDefault(
    0,
    number("AdamW's weight decay (not on biases and norms).", { minimum: 0 }),
  ),
  adam_beta1: withDefault(
    0.9,
    number("AdamW's decay of the first moment.", { minimum: 0, exclusiveMaximum: 1 }),
  ),
  adam_beta2: withDefault(
    0.999,
    number("AdamW's decay of the second moment.", { minimum: 0, exclusiveMaximum: 1 }),
  ),
  adam_epsilon: withDefault(1e-8, number("Added to AdamW's denominator.", { exclusiveMinimum: 0 })),
  max_grad_norm: withDefault(
    1,
    number("The gradient is scaled down to this global L2 norm.", { exclusiveMinimum: 0 }),
  ),
  logging_steps: withDefault(10, stepsOrFraction("Log the loss")),
  eval_strategy: withDefault(
    "steps",
    choice("Whether the test split is evaluated during the training.", ["no", "steps"]),
  ),
  eval_steps: withDefault(0.1, stepsOrFraction("Evaluate")),
  save_steps: withDefault(0.1, stepsOrFraction("Write a checkpoint to resume from")),
  keep_steps: optional(
    list(
      "Steps whose models are kept beside the final one, for stages that start `from: stage@step`.",
      integer("A step.", { minimum: 1 }),
    ),
  ),
  // DIFFERS: the reference keeps all; a finished model is an artifact, older checkpoints are not
  // (test/recipe/load.test.ts).
  save_total_limit: withDefault(
    2,
    integer("Checkpoints to keep, the newest first.", { minimum: 2 }),
  ),
};

const groupByLength = (value: boolean) => ({
  group_by_length: withDefault(value, flag("Put rows of similar length into one batch.")),
});

export const pretrainFields = {
  dataset_args: datasetArgs("Text to pretrain on"),
  // DIFFERS: the reference's default is "Text", after its default dataset
  // (test/recipe/load.test.ts).
  stopping_strategy: stoppingStrategy,
  streaming: withDefault(
    false,
    flag(
      "Read the rows while training instead of preparing them all, again and again; needs " +
        "max_steps. Held out are a dataset's own test split, or its first rows with `[test:N]`.",
    ),
  ),
  text_field: withDefault("text", text("Key of the text in JSONL rows.")),
  insert_eos: withDefault(true, flag("End each text with the end-of-sequence token.")),
  drop_tail: withDefault(true, flag("Drop the tokens after the last full chunk.")),
  max_length: withDefault(128, integer("Tokens per chunk.", { minimum: 1 })),
  test_fraction: testFraction,
  ...badRowFields,
  ...trainFields,
  ...groupByLength(false),
};

export const sftFields = {
  dataset_args: datasetArgs("Conversations (rows with `messages`) to fine-tune on"),
  stopping_strategy: stoppingStrategy,
  max_length: withDefault(512, integer("Longest row, in tokens.", { minimum: 1 })),
  truncation: withDefault(
    "right",
    choice("Rows that are too long are cut at the right, or filtered out.", ["right", "filter"]),
  ),
  mask_prompt_loss: withDefault(
    true,
    flag("Train the last message only; all before it is context."),
  ),
  test_fraction: testFraction,
  ...badRowFields,
  ...trainFields,
  ...groupByLength(true),
};
