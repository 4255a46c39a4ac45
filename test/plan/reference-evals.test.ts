import { expect, test } from "vitest";
import {
  evalCommand,
  type BenchmarkSettings,
  type EvalCommandInputs,
} from "../../src/plan/reference/eval-command.js";
import type { BenchmarkName } from "../../src/recipe/benchmark-fields.js";

const plainSampler = {
  temperature: 0,
  remasking: "low_confidence",
  stochastic_transfer: false,
  cfg_scale: 0,
} as const;

function evaluate(
  benchmark: BenchmarkName,
  settings: BenchmarkSettings,
  more: Partial<EvalCommandInputs> = {},
) {
  return evalCommand({
    edition: "head",
    benchmark,
    settings,
    path: "eval",
    sampler: plainSampler,
    promptSpecialTokens: more.edition !== "report",
    model: "m",
    precision: "bfloat16",
    devices: 8,
    ...more,
  });
}

const lambada = { num_fewshot: 0, mc_num: 32, batch_size: 32, is_check_greedy: true };

test("LAMBADA's accuracy needs the greedy check, which head leaves out and the report has", () => {
  expect(evaluate("lambada_openai", lambada)).toMatchObject({
    value: {
      text:
        "accelerate launch --num_processes 8 dllm/pipelines/bert/eval.py --tasks lambada_openai " +
        "--num_fewshot 0 --model bert --apply_chat_template --model_args " +
        "'pretrained=m,is_check_greedy=True,mc_num=32' --batch_size 32",
      env: { PYTHONPATH: ".", HF_ALLOW_CODE_EVAL: "1", HF_DATASETS_TRUST_REMOTE_CODE: "True" },
    },
  });
  expect(evaluate("lambada_openai", lambada, { edition: "report" })).toMatchObject({
    value: {
      argv: expect.arrayContaining(["pretrained=m,mc_num=32"]) as string[],
      env: { PYTHONBREAKPOINT: "0" },
    },
  });
  const unchecked = { ...lambada, is_check_greedy: false };
  expect(evaluate("lambada_openai", unchecked, { edition: "report" })).toMatchObject({
    value: {
      argv: expect.arrayContaining(["pretrained=m,is_check_greedy=False,mc_num=32"]) as string[],
    },
  });
});

test("precision and a limit of questions are passed on", () => {
  const mmlu = { num_fewshot: 5, mc_num: 64, batch_size: 16 };
  expect(evaluate("mmlu", mmlu, { precision: "float32", limit: 10 })).toMatchObject({
    value: {
      text: expect.stringContaining(
        "--model_args 'pretrained=m,dtype=float32,mc_num=64' --batch_size 16 --limit 10",
      ) as string,
    },
  });
});

test("what the harness cannot do is named with its key", () => {
  const mmlu = { num_fewshot: 5, mc_num: 32, batch_size: 24 };
  expect(evaluate("mmlu", mmlu, { model: "a,b" })).toEqual({
    ok: false,
    problems: [
      {
        keyPath: "eval.benchmarks.mmlu.mc_num",
        message: "mc_num is 32, expected a multiple of batch_size, which is 24",
        details: ["the reference's harness draws noised copies in whole batches"],
      },
      {
        keyPath: "eval.from",
        message: 'the model "a,b" cannot be named in --model_args',
        details: ['lm-evaluation-harness separates there at "," and "="'],
      },
    ],
  });
});

const gsm8k = { num_fewshot: 0, max_new_tokens: 256, steps: 256, block_size: 32, batch_size: 1 };
const otherSampler = {
  temperature: 0.5,
  remasking: "random",
  stochastic_transfer: true,
  cfg_scale: 1.5,
} as const;

test("the evaluation's sampler reaches the harness where it can", () => {
  expect(evaluate("gsm8k_bert", gsm8k, { sampler: otherSampler })).toMatchObject({
    value: {
      argv: expect.arrayContaining([
        "pretrained=m,max_new_tokens=256,steps=256,block_size=32,temperature=0.5," +
          "remasking=random,stochastic_transfer=True,cfg_scale=1.5",
      ]) as string[],
    },
  });
  const guided = { ...plainSampler, cfg_scale: 2 };
  expect(evaluate("lambada_openai", lambada, { edition: "report", sampler: guided })).toMatchObject(
    {
      value: { argv: expect.arrayContaining(["pretrained=m,mc_num=32,cfg=2"]) as string[] },
    },
  );
});

test("prompts and samplers of other kinds than the edition's harness has are named", () => {
  const messages = (more: Partial<EvalCommandInputs>) => {
    const outcome = evaluate("gsm8k_bert", gsm8k, more);
    return outcome.ok ? [] : outcome.problems.map((each) => `${each.keyPath}: ${each.message}`);
  };
  expect(messages({ promptSpecialTokens: false })).toEqual([
    "eval.prompt_special_tokens: prompt_special_tokens is false, and the harness of edition head always wraps prompts",
  ]);
  expect(messages({ edition: "report", promptSpecialTokens: true, sampler: otherSampler })).toEqual(
    [
      "eval.prompt_special_tokens: prompt_special_tokens is true, and the harness of edition report never wraps prompts",
      "eval.sampler.temperature: temperature is 0.5, and the report's harness knows only 0",
      "eval.sampler.stochastic_transfer: stochastic_transfer is true, and the report's harness does not know it",
    ],
  );
});
