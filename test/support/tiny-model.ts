/** @file A ModernBERT small enough to train in milliseconds, and rows to train it on. */
import { randomStream } from "../../src/base/random.js";
import { tokenDatasetOf, type TokenDataset } from "../../src/data/token-dataset.js";
import { initialiseParameters, layOut } from "../../src/model/parameters.js";
import { parseArchitecture } from "../../src/model/registry.js";
import type { MaskSettings, TrainingSettings } from "../../src/recipe/schema.js";
import type { TrainingState } from "../../src/train/checkpoint.js";
import { emptyFigures } from "../../src/train/loop.js";
import { createAdamWState } from "../../src/train/optimizer.js";

export const padId = 1;
export const maskId = 2;

export const tinyArchitecture = parseArchitecture({
  model_type: "modernbert",
  vocab_size: 40,
  hidden_size: 16,
  intermediate_size: 24,
  num_hidden_layers: 3,
  num_attention_heads: 2,
  local_attention: 8,
  max_position_embeddings: 64,
  pad_token_id: padId,
});

export const tinyLayout = layOut(tinyArchitecture.family.parameters(tinyArchitecture.config));

export const tinyMask: MaskSettings = {
  schedule: "linear",
  time_epsilon: 1e-3,
  loss_weight_type: "scheduler",
  loss_norm_type: "token",
};

export const tinySettings: TrainingSettings = {
  learning_rate: 3e-3,
  lr_scheduler_type: "cosine",
  warmup_ratio: 0.1,
  warmup_steps: 0,
  num_train_epochs: 1,
  max_steps: 12,
  batch_size: 4,
  group_rows: 4,
  per_device_eval_batch_size: 4,
  weight_decay: 0,
  adam_beta1: 0.9,
  adam_beta2: 0.999,
  adam_epsilon: 1e-8,
  max_grad_norm: 1,
  group_by_length: true,
  logging_steps: 1,
  eval_steps: 5,
  eval_strategy: "steps",
  save_steps: 4,
  save_total_limit: 2,
  keep_steps: [],
};

/** Rows of 6 to 20 tokens, the first three of each a prompt. */
export function tinyDataset(rows: number, seed = 1): TokenDataset {
  const stream = randomStream({ seed, purpose: "split" });
  return tokenDatasetOf(
    Array.from({ length: rows }, () => ({
      ids: Array.from({ length: 6 + stream.below(15) }, () => 3 + stream.below(37)),
      promptLength: 3,
    })),
    "trainable",
  );
}

/** A state before the first step, initialised from a seed. */
export function freshState(seed = 7): TrainingState {
  return {
    step: 0,
    parameters: initialiseParameters(tinyLayout, seed),
    optimizer: createAdamWState(tinyLayout),
    figures: emptyFigures(),
  };
}
