/**
 * @file Editions of the reference: the defaults that a written `edition` gives where those of
 * schema.ts are others. `head` is ZHZisZZ/dllm@ca17675 (dllm/core/eval/base.py), whose defaults
 * are nearly all those of schema.ts; `report` is ZHZisZZ/dllm@aeab2042
 * (dllm/core/trainers/mdlm.py, dllm/data/utils.py, dllm/pipelines/llada/generator.py,
 * examples/bert/{pt,sft}.py, scripts/eval.slurm.sh).
 */
import type { Edition } from "./schema.js";

/** Key path to the default that an edition gives it. */
export const editions = {
  head: {
    "eval.prompt_special_tokens": true,
  },
  report: {
    // The only normalisation there was.
    "mask.loss_norm_type": "sequence",
    dataset_separators: ["|"],
    "pretrain.per_device_train_batch_size": 64,
    "pretrain.per_device_eval_batch_size": 64,
    "sft.per_device_train_batch_size": 64,
    "sft.per_device_eval_batch_size": 64,
    "sft.test_fraction": 0.1,
    "eval.mc_num": 128,
    "eval.benchmarks.lambada_openai.mc_num": 128,
    "eval.benchmarks.gsm8k_bert.num_fewshot": 8,
    "eval.benchmarks.ceval-valid.mc_num": 128,
    "eval.benchmarks.mmlu.mc_num": 128,
    "eval.benchmarks.winogrande.num_fewshot": 0,
    "eval.benchmarks.winogrande.mc_num": 128,
    "eval.benchmarks.hellaswag.mc_num": 128,
    "eval.benchmarks.cmmlu.mc_num": 128,
    "eval.sampler.attention_mask": "not_eos",
  },
} as const satisfies Record<Edition, Readonly<Record<string, unknown>>>;
