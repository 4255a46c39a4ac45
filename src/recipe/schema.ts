/** @file Recipe keys, types and defaults: their only home. */

export type ModelFamily = "modernbert";
export type AlphaScheduleName = "linear" | "cosine";

export interface MaskSettings {
  schedule: AlphaScheduleName;
  time_epsilon: number;
  loss_weight_type: "scheduler" | "uniform";
  loss_norm_type: "token" | "sequence" | "batch";
}

export interface TrainSettings {
  learning_rate: number;
  lr_scheduler_type: "cosine" | "linear" | "constant";
  warmup_ratio: number;
  /** 0 means: use warmup_ratio. */
  warmup_steps: number;
  num_train_epochs: number;
  /** -1 means: num_train_epochs decides. */
  max_steps: number;
  per_device_train_batch_size: number;
  per_device_eval_batch_size: number;
  gradient_accumulation_steps: number;
  weight_decay: number;
  adam_beta1: number;
  adam_beta2: number;
  adam_epsilon: number;
  max_grad_norm: number;
  group_by_length: boolean;
  /** Steps, or a fraction of all steps when below 1. */
  logging_steps: number;
  eval_steps: number;
  eval_strategy: "no" | "steps";
  save_steps: number;
  save_total_limit: number;
}

export interface SamplerSettings {
  max_new_tokens: number;
  block_size: number;
  steps: number;
  temperature: number;
  remasking: "low_confidence" | "random";
  stochastic_transfer: boolean;
  cfg_scale: number;
}

export interface EvalSettings {
  /** `heldout_likelihood`: nll and ppl of the test split; `exact_match`: generated answers per skill. */
  tasks: readonly ("heldout_likelihood" | "exact_match")[];
  /** Most rows of the test split per task; -1 for all. */
  limit: number;
  batch_size: number;
  /** Noised copies per row in heldout_likelihood. */
  mc_num: number;
}

export interface ExportSettings {
  formats: readonly ("safetensors" | "onnx")[];
}
