/**
 * The commands that the reference published, each with the settings of a recipe that says the
 * same, and what is made of them. Sources: ZHZisZZ/dllm@aeab2042 and @ca17675
 * examples/bert/README.md; @ca17675 examples/bert/eval.sh; @aeab2042 scripts/eval.slurm.sh;
 * the commands of the report ("BERT-Chat", W&B, November 2025).
 */
import { resolveHardware } from "../../src/plan/hardware.js";
import { trainCommand } from "../../src/plan/launch-command.js";
import type { Outcome } from "../../src/plan/problem.js";
import { chatCommand } from "../../src/plan/reference/chat-command.js";
import { evalCommand, type BenchmarkSettings } from "../../src/plan/reference/eval-command.js";
import type { Command } from "../../src/base/shell-text.js";
import type { BenchmarkName } from "../../src/recipe/benchmark-fields.js";
import type {
  Edition,
  HardwareSettings,
  PretrainSettings,
  SftSettings,
} from "../../src/recipe/schema.js";
import { hardwareSettings, maskSettings, pretrainSettings, sftSettings } from "./settings.js";

export interface PublishedCommand {
  name: string;
  source: string;
  edition: Edition;
  /** As published. */
  published: string;
  /** Whether the emitted text, line breaks and quotes aside, is the published one. */
  literally: boolean;
  emitted: Command;
}

function valueOf<Value>(outcome: Outcome<Value>): Value {
  if (!outcome.ok) throw new Error(outcome.problems.map(({ message }) => message).join("; "));
  return outcome.value;
}

interface TrainFacts {
  edition: Edition;
  hardware: Partial<HardwareSettings>;
  output: string;
  model?: string;
  /** Where it starts from another stage. */
  start?: string;
}

type Training = TrainFacts &
  (
    | { kind: "pretrain"; settings: Partial<PretrainSettings> & { dataset_args: string } }
    | { kind: "sft"; settings: Partial<SftSettings> & { dataset_args: string } }
  );

export function train(facts: Training): Command {
  const { edition, output, model = LARGE, start } = facts;
  const hardware = hardwareSettings({
    engine: "accelerate",
    precision: "bfloat16",
    ...facts.hardware,
  });
  const stage =
    facts.kind === "pretrain"
      ? { path: "pretrain", kind: facts.kind, settings: pretrainSettings(edition, facts.settings) }
      : { path: "sft", kind: facts.kind, settings: sftSettings(edition, facts.settings) };
  const resolved = valueOf(
    resolveHardware({ hardware, train: { stagePath: stage.path, ...stage.settings } }),
  );
  return valueOf(
    trainCommand({
      recipe: {
        edition,
        dataset_separators: edition === "report" ? ["|"] : ["|", "+"],
        model: { name_or_path: model },
        mask: maskSettings(edition),
        hardware,
        seed: 42,
      },
      stage,
      resolved,
      outputDirectory: output,
      ...(start !== undefined && { startModel: start }),
    }),
  );
}

const evaluate = (
  edition: Edition,
  benchmark: BenchmarkName,
  settings: BenchmarkSettings,
  model: string,
  devices: number,
): Command =>
  valueOf(
    evalCommand({
      edition,
      benchmark,
      settings,
      path: "eval",
      sampler,
      promptSpecialTokens: edition === "head",
      model,
      precision: "bfloat16",
      devices,
    }),
  );

const sampler = {
  max_new_tokens: 128,
  block_size: 128,
  steps: 128,
  temperature: 0,
  remasking: "low_confidence",
  stochastic_transfer: false,
  cfg_scale: 0,
} as const;

const LARGE = "answerdotai/ModernBERT-large";
const BASE = "answerdotai/ModernBERT-base";
const one = { strategy: "single" } as const;
const eightDdp = { strategy: "ddp", gpus_per_node: 8 } as const;
const eightZero = { strategy: "zero2", gpus_per_node: 8 } as const;

/** README at the report's commit. */
const reportReadme: PublishedCommand[] = [
  {
    name: "warm-up: pretrain on tiny-shakespeare",
    literally: true,
    published: `accelerate launch --config_file scripts/accelerate_configs/ddp.yaml --num_processes 1 \\
    examples/bert/pt.py \\
    --model_name_or_path "answerdotai/ModernBERT-large" \\
    --dataset_args "Trelis/tiny-shakespeare" \\
    --text_field "Text" \\
    --insert_eos False \\
    --max_length 128 \\
    --num_train_epochs 20 \\
    --per_device_train_batch_size 64 \\
    --per_device_eval_batch_size 64 \\
    --save_steps 0.1 \\
    --output_dir "models/ModernBERT-large/tiny-shakespeare"`,
    emitted: train({
      edition: "report",
      kind: "pretrain",
      hardware: one,
      settings: {
        dataset_args: "Trelis/tiny-shakespeare",
        text_field: "Text",
        insert_eos: false,
        max_length: 128,
      },
      output: "models/ModernBERT-large/tiny-shakespeare",
    }),
  },
  {
    name: "warm-up: continue a text",
    literally: false,
    published: `python -u examples/bert/chat.py \\
    --model_name_or_path "models/ModernBERT-large/tiny-shakespeare/checkpoint-final" \\
    --chat False --remasking "random" --steps 128 --max_new_tokens 128`,
    emitted: chatCommand({
      edition: "report",
      model: "models/ModernBERT-large/tiny-shakespeare/checkpoint-final",
      conversation: false,
      sampler: { ...sampler, remasking: "random" },
    }),
  },
  {
    name: "warm-up: SFT on Alpaca",
    literally: true,
    published: `accelerate launch --config_file scripts/accelerate_configs/ddp.yaml --num_processes 8 \\
    examples/bert/sft.py \\
    --model_name_or_path "answerdotai/ModernBERT-large" \\
    --dataset_args "tatsu-lab/alpaca" \\
    --max_length 512 \\
    --num_train_epochs 20 \\
    --per_device_train_batch_size 64 \\
    --per_device_eval_batch_size 64 \\
    --save_steps 0.1 \\
    --output_dir "models/ModernBERT-large/alpaca"`,
    emitted: train({
      edition: "report",
      kind: "sft",
      hardware: eightDdp,
      settings: { dataset_args: "tatsu-lab/alpaca", max_length: 512 },
      output: "models/ModernBERT-large/alpaca",
    }),
  },
  {
    name: "warm-up: chat",
    literally: true,
    published: `python -u examples/bert/chat.py \\
    --model_name_or_path "models/ModernBERT-large/alpaca/checkpoint-final" --chat True`,
    emitted: chatCommand({
      edition: "report",
      model: "models/ModernBERT-large/alpaca/checkpoint-final",
      conversation: true,
      sampler,
    }),
  },
  ...[
    { size: "base", model: BASE },
    { size: "large", model: LARGE },
  ].map(({ size, model }) => ({
    name: `ModernBERT-${size}-chat-v0`,
    literally: true,
    published: `accelerate launch --config_file scripts/accelerate_configs/zero2.yaml --num_processes 8 \\
    examples/bert/sft.py \\
    --model_name_or_path "answerdotai/ModernBERT-${size}" \\
    --dataset_args "allenai/tulu-3-sft-mixture|HuggingFaceTB/smoltalk" \\
    --max_length 1024 \\
    --num_train_epochs 10 \\
    --per_device_train_batch_size 48 \\
    --per_device_eval_batch_size 48 \\
    --save_steps 0.1 \\
    --output_dir "models/ModernBERT-${size}/tulu-3-smoltalk/epochs-10-bs-384-len-1024"`,
    emitted: train({
      edition: "report",
      kind: "sft",
      hardware: eightZero,
      model,
      settings: {
        dataset_args: "allenai/tulu-3-sft-mixture|HuggingFaceTB/smoltalk",
        max_length: 1024,
        num_train_epochs: 10,
        per_device_train_batch_size: 48,
        per_device_eval_batch_size: 48,
      },
      output: `models/ModernBERT-${size}/tulu-3-smoltalk/epochs-10-bs-384-len-1024`,
    }),
  })),
  {
    name: "chat",
    literally: true,
    published:
      'python -u examples/bert/chat.py --model_name_or_path "dllm-collection/ModernBERT-large-chat-v0" --chat True',
    emitted: chatCommand({
      edition: "report",
      model: "dllm-collection/ModernBERT-large-chat-v0",
      conversation: true,
      sampler,
    }),
  },
].map((command) => ({ ...command, edition: "report" as const, source: "README@aeab2042" }));

/** README of the current code. */
const headReadme: PublishedCommand[] = [
  {
    name: "warm-up: pretrain on tiny-shakespeare",
    published: `accelerate launch --config_file scripts/accelerate_configs/ddp.yaml --num_processes 1 \\
    examples/bert/pt.py \\
    --model_name_or_path "answerdotai/ModernBERT-large" \\
    --dataset_args "Trelis/tiny-shakespeare" \\
    --text_field "Text" \\
    --insert_eos False \\
    --max_length 128 \\
    --num_train_epochs 10 \\
    --learning_rate 1e-4 \\
    --per_device_train_batch_size 16 \\
    --per_device_eval_batch_size 16 \\
    --output_dir ".models/ModernBERT-large/tiny-shakespeare"`,
    emitted: train({
      edition: "head",
      kind: "pretrain",
      hardware: one,
      settings: {
        dataset_args: "Trelis/tiny-shakespeare",
        text_field: "Text",
        insert_eos: false,
        max_length: 128,
        num_train_epochs: 10,
      },
      output: ".models/ModernBERT-large/tiny-shakespeare",
    }),
  },
  ...["tiny-shakespeare", "openwebtext"].map((data) => ({
    name: `warm-up: continue a text (${data})`,
    published: `python -u examples/bert/chat.py \\
    --model_name_or_path ".models/ModernBERT-large/${data}/checkpoint-final" \\
    --chat_template False --remasking "random" --temperature 0.7`,
    // The script's own block size is 32.
    emitted: chatCommand({
      edition: "head",
      model: `.models/ModernBERT-large/${data}/checkpoint-final`,
      conversation: false,
      sampler: { ...sampler, block_size: 32, remasking: "random", temperature: 0.7 },
    }),
    literally: false,
  })),
  {
    name: "warm-up: pretrain on OpenWebText, streaming",
    published: `accelerate launch --config_file scripts/accelerate_configs/zero2.yaml --num_processes 8 \\
    examples/bert/pt.py \\
    --model_name_or_path "answerdotai/ModernBERT-large" \\
    --dataset_args "dylanebert/openwebtext" \\
    --text_field "text" \\
    --streaming True \\
    --insert_eos True \\
    --max_length 512 \\
    --max_steps 20000 \\
    --learning_rate 1e-4 \\
    --per_device_train_batch_size 16 \\
    --per_device_eval_batch_size 16 \\
    --eval_strategy "no" \\
    --output_dir ".models/ModernBERT-large/openwebtext"`,
    emitted: train({
      edition: "head",
      kind: "pretrain",
      hardware: eightZero,
      settings: {
        dataset_args: "dylanebert/openwebtext",
        streaming: true,
        max_length: 512,
        max_steps: 20_000,
        eval_strategy: "no",
      },
      output: ".models/ModernBERT-large/openwebtext",
    }),
  },
  {
    name: "warm-up: SFT on Alpaca",
    published: `accelerate launch --config_file scripts/accelerate_configs/zero2.yaml --num_processes 8 \\
    examples/bert/sft.py \\
    --model_name_or_path "answerdotai/ModernBERT-large" \\
    --dataset_args "tatsu-lab/alpaca" \\
    --max_length 512 \\
    --num_train_epochs 10 \\
    --learning_rate 1e-4 \\
    --per_device_train_batch_size 16 \\
    --per_device_eval_batch_size 16 \\
    --output_dir ".models/ModernBERT-large/alpaca"`,
    emitted: train({
      edition: "head",
      kind: "sft",
      hardware: eightZero,
      settings: { dataset_args: "tatsu-lab/alpaca", max_length: 512, num_train_epochs: 10 },
      output: ".models/ModernBERT-large/alpaca",
    }),
  },
  {
    name: "warm-up: chat",
    published: `python -u examples/bert/chat.py \\
    --model_name_or_path ".models/ModernBERT-large/alpaca/checkpoint-final"`,
    emitted: chatCommand({
      edition: "head",
      model: ".models/ModernBERT-large/alpaca/checkpoint-final",
      conversation: true,
      sampler: { ...sampler, block_size: 32 },
    }),
  },
  ...[
    { size: "base", model: BASE },
    { size: "large", model: LARGE },
  ].map(({ size, model }) => ({
    name: `ModernBERT-${size}-chat-v0.1`,
    published: `accelerate launch --config_file scripts/accelerate_configs/zero2.yaml --num_processes 8 \\
    examples/bert/sft.py \\
    --model_name_or_path "answerdotai/ModernBERT-${size}" \\
    --dataset_args "allenai/tulu-3-sft-mixture+HuggingFaceTB/smoltalk" \\
    --max_length 1024 \\
    --num_train_epochs 10 \\
    --learning_rate 1e-4 \\
    --per_device_train_batch_size 48 \\
    --per_device_eval_batch_size 48 \\
    --output_dir ".models/ModernBERT-${size}/tulu-3-sft-mixture+smoltalk"`,
    emitted: train({
      edition: "head",
      kind: "sft",
      hardware: eightZero,
      model,
      settings: {
        dataset_args: "allenai/tulu-3-sft-mixture+HuggingFaceTB/smoltalk",
        max_length: 1024,
        num_train_epochs: 10,
        per_device_train_batch_size: 48,
        per_device_eval_batch_size: 48,
      },
      output: `.models/ModernBERT-${size}/tulu-3-sft-mixture+smoltalk`,
    }),
  })),
  {
    name: "chat",
    published:
      'python -u examples/bert/chat.py --model_name_or_path "dllm-hub/ModernBERT-large-chat-v0.1"',
    emitted: chatCommand({
      edition: "head",
      model: "dllm-hub/ModernBERT-large-chat-v0.1",
      conversation: true,
      sampler: { ...sampler, block_size: 32 },
    }),
  },
  {
    name: "evaluate GSM8K on 4 GPUs",
    published: `accelerate launch --num_processes 4 \\
    dllm/pipelines/bert/eval.py \\
    --tasks "gsm8k_bert" \\
    --model "bert" \\
    --apply_chat_template \\
    --num_fewshot 0 \\
    --model_args "pretrained=dllm-hub/ModernBERT-large-chat-v0.1,max_new_tokens=256,steps=256,block_size=32"`,
    emitted: evaluate(
      "head",
      "gsm8k_bert",
      { num_fewshot: 0, max_new_tokens: 256, steps: 256, block_size: 32, batch_size: 1 },
      "dllm-hub/ModernBERT-large-chat-v0.1",
      4,
    ),
    literally: false,
  },
].map((command) => ({
  literally: true,
  ...command,
  edition: "head" as const,
  source: "README@ca17675",
}));

/** The report's own commands, from the facts that it states (arguments in any order). */
const report: PublishedCommand[] = [
  {
    name: "1 Wikitext pretraining",
    published:
      "accelerate launch --config_file scripts/accelerate_configs/ddp.yaml --num_processes 8 " +
      "examples/bert/pt.py --model_name_or_path answerdotai/ModernBERT-large --dataset_args " +
      '"wikitext[name:wikitext-103-v1]" --text_field text --max_length 512 --num_train_epochs 20 ' +
      "--per_device_train_batch_size 64 --per_device_eval_batch_size 64 --save_steps 0.1 " +
      "--output_dir models/roberta-large/wikitext-103-v1",
    emitted: train({
      edition: "report",
      kind: "pretrain",
      hardware: eightDdp,
      settings: { dataset_args: "wikitext[name:wikitext-103-v1]", max_length: 512 },
      output: "models/ModernBERT-large/wikitext-103-v1/epochs-20-bs-512-len-512",
    }),
  },
  {
    name: "2 OpenWebText pretraining",
    published:
      "sbatch --nodes=4 --gres=gpu:8 scripts/train.slurm.sh --accelerate_config ddp " +
      "--script_path examples/bert/pt.py --model_name_or_path answerdotai/ModernBERT-large " +
      "--dataset_args dylanebert/openwebtext --text_field text --streaming True " +
      "--insert_eos True --max_length 1024 --max_steps 200000 --per_device_train_batch_size 32 " +
      "--warmup_steps 2000 --eval_strategy no --eval_on_start False --save_steps 0.01 " +
      "--output_dir models/ModernBERT-large/openwebtext/steps-200000-bs-1024-len-1024",
    emitted: train({
      edition: "report",
      kind: "pretrain",
      hardware: { strategy: "ddp", nodes: 4, gpus_per_node: 8 },
      settings: {
        dataset_args: "dylanebert/openwebtext",
        streaming: true,
        insert_eos: true,
        max_length: 1024,
        max_steps: 200_000,
        per_device_train_batch_size: 32,
        warmup_steps: 2000,
        eval_strategy: "no",
        save_steps: 0.01,
        keep_steps: [18_000],
      },
      output: "models/ModernBERT-large/openwebtext/steps-200000-bs-1024-len-1024",
    }),
  },
  ...[
    { row: "3 Alpaca SFT from the published model", start: LARGE },
    {
      row: "4 Alpaca SFT from Wikitext",
      start: "models/ModernBERT-large/wikitext-103-v1/epochs-20-bs-512-len-512/checkpoint-final",
    },
    {
      row: "5 Alpaca SFT from OpenWebText",
      start: "models/ModernBERT-large/openwebtext/steps-200000-bs-1024-len-1024/checkpoint-18000",
    },
  ].map(({ row, start }) => ({
    name: row,
    published:
      "accelerate launch --config_file scripts/accelerate_configs/ddp.yaml --num_processes 8 " +
      `examples/bert/sft.py --model_name_or_path ${start} --dataset_args tatsu-lab/alpaca ` +
      "--max_length 512 --num_train_epochs 20 --per_device_train_batch_size 64 " +
      "--per_device_eval_batch_size 64 --save_steps 0.1 --output_dir models/ModernBERT-large/alpaca",
    emitted: train({
      edition: "report",
      kind: "sft",
      hardware: eightDdp,
      settings: { dataset_args: "tatsu-lab/alpaca", max_length: 512 },
      output: "models/ModernBERT-large/alpaca",
      ...(start !== LARGE && { start }),
    }),
  })),
  {
    name: "6 chat models",
    published:
      "accelerate launch --config_file scripts/accelerate_configs/zero2.yaml --num_processes 8 " +
      "examples/bert/sft.py --model_name_or_path answerdotai/ModernBERT-large --dataset_args " +
      '"allenai/tulu-3-sft-mixture|HuggingFaceTB/smoltalk" --max_length 1024 ' +
      "--num_train_epochs 10 --per_device_train_batch_size 48 --per_device_eval_batch_size 48 " +
      "--save_steps 0.1 " +
      "--output_dir models/ModernBERT-large/tulu-3-smoltalk/epochs-10-bs-384-len-1024",
    emitted: train({
      edition: "report",
      kind: "sft",
      hardware: eightZero,
      settings: {
        dataset_args: "allenai/tulu-3-sft-mixture|HuggingFaceTB/smoltalk",
        max_length: 1024,
        num_train_epochs: 10,
        per_device_train_batch_size: 48,
        per_device_eval_batch_size: 48,
      },
      output: "models/ModernBERT-large/tulu-3-smoltalk/epochs-10-bs-384-len-1024",
    }),
  },
].map((command) => ({
  ...command,
  edition: "report" as const,
  source: "report",
  literally: false,
}));

const CHAT = "dllm-hub/ModernBERT-large-chat-v0.1";
const generation = { max_new_tokens: 256, steps: 256, block_size: 32, batch_size: 1 };
const likelihood = { mc_num: 32, batch_size: 32 };

const headEval: PublishedCommand[] = (
  [
    ["gsm8k_bert", { num_fewshot: 0, ...generation }],
    ["bbh", { num_fewshot: 3, ...generation }],
    ["minerva_math", { num_fewshot: 4, ...generation }],
    ["ceval-valid", { num_fewshot: 5, ...likelihood }],
    ["mmlu", { num_fewshot: 5, ...likelihood }],
    ["winogrande", { num_fewshot: 5, ...likelihood }],
    ["hellaswag", { num_fewshot: 0, ...likelihood }],
    ["cmmlu", { num_fewshot: 5, ...likelihood }],
  ] as const
).map(([benchmark, settings]) => ({
  name: benchmark,
  source: "eval.sh@ca17675",
  edition: "head",
  published:
    "accelerate launch --num_processes 1 dllm/pipelines/bert/eval.py \\\n" +
    `    --tasks ${benchmark} --num_fewshot ${settings.num_fewshot} --model bert --apply_chat_template \\\n` +
    ("mc_num" in settings
      ? `    --model_args "pretrained=${CHAT},mc_num=32" --batch_size 32`
      : `    --model_args "pretrained=${CHAT},max_new_tokens=256,steps=256,block_size=32"`),
  literally: true,
  emitted: evaluate("head", benchmark, settings, CHAT, 1),
}));

/** Of eval_bert_configs: shots, new tokens, steps, block length, seed, noised copies. */
const slurmConfigs = {
  mmlu: "5|512|512|32|1234|128",
  "ceval-valid": "5|1024|1024|32|1234|128",
  cmmlu: "5|1024|1024|32|1234|128",
  hellaswag: "0|1024|1024|1024|1234|128",
  winogrande: "0|128|128|128|1234|128",
  gsm8k_bert: "8|256|256|32|1234|128",
  minerva_math: "4|256|256|32|1234|128",
  bbh: "3|256|256|32|1234|128",
} as const;

const V0 = "dllm-collection/ModernBERT-large-chat-v0";

const reportEval: PublishedCommand[] = Object.entries(slurmConfigs).map(([task, config]) => {
  const benchmark = task as keyof typeof slurmConfigs;
  const [shots, tokens, steps, block, seed, copies] = config.split("|");
  const generates = ["gsm8k_bert", "minerva_math", "bbh"].includes(task);
  return {
    name: task,
    source: "eval.slurm.sh@aeab2042",
    edition: "report",
    // Launch arguments of the cluster's nodes and the log's path left out.
    published:
      `accelerate launch --num_processes 8 dllm/pipelines/bert/eval.py --num_fewshot ${shots} ` +
      "--batch_size 1 --model bert --model_args " +
      `"pretrained=${V0},is_check_greedy=False,mc_num=${copies},max_new_tokens=${tokens},` +
      `steps=${steps},block_length=${block}" --tasks ${task} --seed ${seed} --apply_chat_template`,
    literally: false,
    emitted: evaluate(
      "report",
      benchmark,
      generates
        ? { num_fewshot: Number(shots), ...generation }
        : { num_fewshot: Number(shots), mc_num: Number(copies), batch_size: 1 },
      V0,
      8,
    ),
  };
});

export const publishedCommands: readonly PublishedCommand[] = [
  ...report,
  ...reportReadme,
  ...headReadme,
  ...reportEval,
  ...headEval,
];
