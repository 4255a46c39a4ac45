/**
 * @file The arguments of the reference's training scripts and their defaults, by edition.
 * Sources: ZHZisZZ/dllm@aeab2042 (report) and @ca17675 (head): examples/bert/{pt,sft}.py,
 * dllm/utils/configs.py, dllm/core/trainers/mdlm.py; huggingface/transformers v4.57
 * training_args.py.
 */
import type { Edition, TrainingStageName } from "../../recipe/schema.js";

export type ArgumentValue = string | number | boolean;
export type Arguments = Readonly<Record<string, ArgumentValue>>;

export const scriptPaths = {
  pretrain: "examples/bert/pt.py",
  sft: "examples/bert/sft.py",
} as const satisfies Record<TrainingStageName, string>;

/** Of TrainingArguments, and the same for both scripts at both commits. */
const trainerDefaults = {
  learning_rate: 1e-4,
  lr_scheduler_type: "cosine",
  warmup_ratio: 0.1,
  warmup_steps: 0,
  num_train_epochs: 20,
  max_steps: -1,
  gradient_accumulation_steps: 1,
  weight_decay: 0,
  adam_beta1: 0.9,
  adam_beta2: 0.999,
  adam_epsilon: 1e-8,
  max_grad_norm: 1,
  logging_steps: 10,
  eval_strategy: "steps",
  eval_steps: 0.1,
  eval_on_start: false,
  save_steps: 0.1,
  bf16: true,
  dtype: "bfloat16",
  seed: 42,
};

const scriptDefaults = {
  pretrain: {
    ...trainerDefaults,
    text_field: "Text",
    streaming: false,
    insert_eos: true,
    drop_tail: true,
    max_length: 128,
    group_by_length: false,
  },
  sft: {
    ...trainerDefaults,
    max_length: 512,
    truncation: "right",
    mask_prompt_loss: true,
    group_by_length: true,
  },
};

const batches = (rows: number) => ({
  per_device_train_batch_size: rows,
  per_device_eval_batch_size: rows,
});

/** Only since MDLMConfig is there. */
const objective = {
  time_epsilon: 1e-3,
  loss_weight_type: "scheduler",
  loss_norm_type: "token",
};

/**
 * Argument to its default; an argument that is not here has none and may be given
 * (`requiredArguments`), or does not exist.
 */
export const argumentDefaults: Record<Edition, Record<TrainingStageName, Arguments>> = {
  report: {
    pretrain: { ...scriptDefaults.pretrain, ...batches(64) },
    sft: { ...scriptDefaults.sft, ...batches(64) },
  },
  head: {
    pretrain: { ...scriptDefaults.pretrain, ...objective, ...batches(16) },
    sft: { ...scriptDefaults.sft, ...objective, ...batches(16) },
  },
};

/** What the scripts do without having an argument for it. */
export const fixedBehaviour: Record<Edition, Arguments> = {
  report: {
    schedule: "linear",
    time_epsilon: 1e-3,
    loss_weight_type: "scheduler",
    loss_norm_type: "sequence",
  },
  head: { schedule: "linear" },
};

/** Share of the rows that the scripts split off as test rows. Source: dllm/data/utils.py. */
export const testFractions: Record<Edition, number> = { report: 0.1, head: 0.05 };

/** In the order in which the reference's README writes them. */
export const argumentOrder = [
  "model_name_or_path",
  "dtype",
  "dataset_args",
  "text_field",
  "streaming",
  "insert_eos",
  "drop_tail",
  "max_length",
  "truncation",
  "mask_prompt_loss",
  "num_train_epochs",
  "max_steps",
  "learning_rate",
  "lr_scheduler_type",
  "warmup_ratio",
  "warmup_steps",
  "per_device_train_batch_size",
  "per_device_eval_batch_size",
  "gradient_accumulation_steps",
  "weight_decay",
  "adam_beta1",
  "adam_beta2",
  "adam_epsilon",
  "max_grad_norm",
  "group_by_length",
  "time_epsilon",
  "loss_weight_type",
  "loss_norm_type",
  "logging_steps",
  "eval_strategy",
  "eval_steps",
  "save_steps",
  "save_total_limit",
  "bf16",
  "seed",
  "output_dir",
] as const;

export type ArgumentName = (typeof argumentOrder)[number];

const everywhere: readonly ArgumentName[] = [
  "model_name_or_path",
  "dataset_args",
  "text_field",
  "insert_eos",
  "max_length",
  "num_train_epochs",
  "per_device_train_batch_size",
  "per_device_eval_batch_size",
  "output_dir",
];

/**
 * Arguments that the published commands write whatever their value is: those of the README at
 * the commit. Everything else is written where it differs from the script's default.
 */
export const alwaysWritten: Record<Edition, readonly ArgumentName[]> = {
  report: [...everywhere, "save_steps"],
  head: [...everywhere, "learning_rate"],
};

/** Returns a value as Python's argument parser reads it; small numbers as `1e-4`. */
export function argumentText(value: ArgumentValue): string {
  if (typeof value === "boolean") return value ? "True" : "False";
  if (typeof value === "number" && value !== 0 && Math.abs(value) < 1e-3) {
    return value.toExponential();
  }
  return String(value);
}
