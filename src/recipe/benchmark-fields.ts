/**
 * @file Benchmarks of lm-evaluation-harness that an evaluation may name, with the settings of
 * each. Shots, sampler and Monte-Carlo settings of both editions: ZHZisZZ/dllm@aeab2042
 * scripts/eval.slurm.sh (eval_bert_configs) and ZHZisZZ/dllm@ca17675 examples/bert/eval.sh.
 */
import { integer, map, optional, withDefault, type Field } from "./fields.js";
import { flag } from "./fields.js";

const shots = (count: number) =>
  withDefault<number>(count, integer("Worked examples in the prompt.", { minimum: 0 }));

/** What a benchmark that generates text has. */
const generated = (numFewshot: number) => ({
  num_fewshot: shots(numFewshot),
  max_new_tokens: withDefault<number>(256, integer("Tokens to generate.", { minimum: 1 })),
  steps: withDefault<number>(256, integer("Denoising steps over all blocks.", { minimum: 1 })),
  block_size: withDefault<number>(32, integer("Tokens unmasked together.", { minimum: 1 })),
  batch_size: withDefault<number>(1, integer("Prompts of a batch.", { minimum: 1 })),
});

/** What a benchmark that compares likelihoods of choices has. */
const choices = (numFewshot: number) => ({
  num_fewshot: shots(numFewshot),
  mc_num: withDefault<number>(
    32,
    integer("Noised copies of each choice; a multiple of batch_size.", { minimum: 1 }),
  ),
  batch_size: withDefault<number>(32, integer("Noised copies of a batch.", { minimum: 1 })),
});

export const benchmarkFields = {
  lambada_openai: {
    ...choices(0),
    is_check_greedy: withDefault(
      true,
      flag("Whether the last word must be what the model unmasks greedily; its accuracy."),
    ),
  },
  gsm8k_bert: generated(0),
  "ceval-valid": choices(5),
  bbh: generated(3),
  minerva_math: generated(4),
  mmlu: choices(5),
  winogrande: choices(5),
  hellaswag: choices(0),
  cmmlu: choices(5),
};

export type BenchmarkName = keyof typeof benchmarkFields;

export const benchmarkNames = Object.keys(benchmarkFields) as readonly BenchmarkName[];

const described = <F extends Readonly<Record<string, Field>>>(name: string, fields: F) =>
  optional(map(`The benchmark ${name}, with its settings of the edition: {}.`, fields));

/** The keys of `eval.benchmarks`. */
export const benchmarksFields = {
  lambada_openai: described("LAMBADA", benchmarkFields.lambada_openai),
  gsm8k_bert: described("GSM8K", benchmarkFields.gsm8k_bert),
  "ceval-valid": described("C-Eval (validation)", benchmarkFields["ceval-valid"]),
  bbh: described("BIG-Bench Hard", benchmarkFields.bbh),
  minerva_math: described("MATH, as Minerva asks it", benchmarkFields.minerva_math),
  mmlu: described("MMLU", benchmarkFields.mmlu),
  winogrande: described("WinoGrande", benchmarkFields.winogrande),
  hellaswag: described("HellaSwag", benchmarkFields.hellaswag),
  cmmlu: described("CMMLU", benchmarkFields.cmmlu),
};
