import { describe, expect, test } from "vitest";
import { resolveHardware } from "../../src/plan/hardware.js";
import { trainCommand, type StageCommand } from "../../src/plan/launch-command.js";
import type { Outcome } from "../../src/plan/problem.js";
import { argumentOrder } from "../../src/plan/reference/script-arguments.js";
import type { TrainRecipe, TrainStage } from "../../src/plan/reference/train-arguments.js";
import type {
  Edition,
  HardwareSettings,
  MaskSettings,
  PretrainSettings,
  SftSettings,
} from "../../src/recipe/schema.js";
import { flagsOf, normalise, splitCommand } from "../support/normalised-command.js";
import { publishedCommands, type PublishedCommand } from "../support/reference-commands.js";
import {
  hardwareSettings,
  maskSettings,
  pretrainSettings,
  sftSettings,
} from "../support/settings.js";

const title = ({ source, name }: PublishedCommand) => `${source}: ${name}`;

describe("published commands", () => {
  test("all are there", () => {
    expect(publishedCommands.map(({ source }) => source).sort()).toEqual(
      [
        ...Array.from({ length: 6 }, () => "report"),
        ...Array.from({ length: 7 }, () => "README@aeab2042"),
        ...Array.from({ length: 10 }, () => "README@ca17675"),
        ...Array.from({ length: 8 }, () => "eval.slurm.sh@aeab2042"),
        ...Array.from({ length: 8 }, () => "eval.sh@ca17675"),
      ].sort(),
    );
    expect(new Set(publishedCommands.map(title)).size).toBe(publishedCommands.length);
  });

  test.each(publishedCommands.map((command) => [title(command), command] as const))(
    "%s",
    (_, { published, emitted, edition, literally }) => {
      const argv = splitCommand(published);
      expect(normalise(emitted.argv, edition)).toEqual(normalise(argv, edition));
      if (literally) expect(emitted.argv).toEqual(argv);
      expect(splitCommand(emitted.text)).toEqual(emitted.argv);
    },
  );
});

interface Variation {
  edition?: Edition;
  mask?: Partial<MaskSettings>;
  hardware?: Partial<HardwareSettings>;
  recipe?: Partial<TrainRecipe>;
  pretrain?: Partial<PretrainSettings>;
  sft?: Partial<SftSettings>;
  startModel?: string;
}

function build({ edition = "head", ...changes }: Variation): Outcome<StageCommand> {
  const hardware = hardwareSettings({
    engine: "accelerate",
    precision: "bfloat16",
    ...changes.hardware,
  });
  const stage: TrainStage = changes.pretrain
    ? {
        path: "pretrain",
        kind: "pretrain",
        settings: pretrainSettings(edition, { dataset_args: "a", ...changes.pretrain }),
      }
    : {
        path: "stages.chat",
        kind: "sft",
        settings: sftSettings(edition, { dataset_args: "a", ...changes.sft }),
      };
  const resolved = resolveHardware({
    hardware,
    train: { stagePath: stage.path, ...stage.settings },
  });
  if (!resolved.ok) return resolved;
  return trainCommand({
    recipe: {
      edition,
      dataset_separators: ["|", "+"],
      model: { name_or_path: "m" },
      mask: maskSettings(edition, changes.mask),
      hardware,
      seed: 42,
      ...changes.recipe,
    },
    stage,
    resolved: resolved.value,
    outputDirectory: "out",
    ...(changes.startModel !== undefined && { startModel: changes.startModel }),
  });
}

function argumentsOf(changes: Variation): ReadonlyMap<string, string> {
  const outcome = build(changes);
  if (!outcome.ok) throw new Error(outcome.problems[0]!.message);
  const { argv } = outcome.value;
  return flagsOf(argv.slice(argv.findIndex((word) => word.endsWith("t.py")) + 1));
}

const problemsOf = (changes: Variation) => {
  const outcome = build(changes);
  return outcome.ok ? [] : outcome.problems.map(({ keyPath, message }) => `${keyPath}: ${message}`);
};

test("a setting reaches the command when it differs from the script's default", () => {
  const plain = argumentsOf({});
  const changed: readonly [Variation, string, string][] = [
    [{ sft: { learning_rate: 2e-5 } }, "learning_rate", "2e-5"],
    [{ sft: { lr_scheduler_type: "linear" } }, "lr_scheduler_type", "linear"],
    [{ sft: { warmup_ratio: 0.2 } }, "warmup_ratio", "0.2"],
    [{ sft: { warmup_steps: 7 } }, "warmup_steps", "7"],
    [{ sft: { num_train_epochs: 3 } }, "num_train_epochs", "3"],
    [{ sft: { max_steps: 9 } }, "max_steps", "9"],
    [{ sft: { per_device_train_batch_size: 4 } }, "per_device_train_batch_size", "4"],
    [{ sft: { per_device_eval_batch_size: 4 } }, "per_device_eval_batch_size", "4"],
    [{ sft: { gradient_accumulation_steps: 4 } }, "gradient_accumulation_steps", "4"],
    [{ sft: { global_batch_size: 48 } }, "gradient_accumulation_steps", "3"],
    [{ sft: { weight_decay: 0.1 } }, "weight_decay", "0.1"],
    [{ sft: { adam_beta1: 0.8 } }, "adam_beta1", "0.8"],
    [{ sft: { adam_beta2: 0.98 } }, "adam_beta2", "0.98"],
    [{ sft: { adam_epsilon: 1e-6 } }, "adam_epsilon", "1e-6"],
    [{ sft: { max_grad_norm: 2 } }, "max_grad_norm", "2"],
    [{ sft: { group_by_length: false } }, "group_by_length", "False"],
    [{ pretrain: { group_by_length: true } }, "group_by_length", "True"],
    [{ sft: { logging_steps: 5 } }, "logging_steps", "5"],
    [{ sft: { eval_strategy: "no" } }, "eval_strategy", "no"],
    [{ sft: { eval_steps: 0.2 } }, "eval_steps", "0.2"],
    [{ sft: { save_steps: 0.05 } }, "save_steps", "0.05"],
    [{ sft: { save_total_limit: 3 } }, "save_total_limit", "3"],
    [{ sft: { max_length: 64 } }, "max_length", "64"],
    [{ sft: { truncation: "filter" } }, "truncation", "filter"],
    [{ sft: { mask_prompt_loss: false } }, "mask_prompt_loss", "False"],
    [{ sft: { dataset_args: "b" } }, "dataset_args", "b"],
    [{ pretrain: { text_field: "t" } }, "text_field", "t"],
    [{ pretrain: { streaming: true } }, "streaming", "True"],
    [{ pretrain: { insert_eos: false } }, "insert_eos", "False"],
    [{ pretrain: { drop_tail: false } }, "drop_tail", "False"],
    [{ mask: { time_epsilon: 0.01 } }, "time_epsilon", "0.01"],
    [{ mask: { loss_weight_type: "uniform" } }, "loss_weight_type", "uniform"],
    [{ mask: { loss_norm_type: "sequence" } }, "loss_norm_type", "sequence"],
    [{ recipe: { seed: 1 } }, "seed", "1"],
    [{ hardware: { precision: "float32" } }, "dtype", "float32"],
    [{ hardware: { precision: "float32" } }, "bf16", "False"],
    [{ startModel: "runs/x" }, "model_name_or_path", "runs/x"],
  ];
  for (const [change, name, value] of changed) {
    expect(argumentsOf(change).get(name), name).toBe(value);
    if (change.sft) expect(plain.get(name), name).not.toBe(value);
  }
  // Every argument was reached, but for the directory of the output.
  const reached = new Set(changed.map(([, name]) => name));
  expect(argumentOrder.filter((name) => !reached.has(name))).toEqual(["output_dir"]);
});

test("what the reference's scripts cannot express is named with its key", () => {
  expect(problemsOf({ mask: { schedule: "cosine" } })).toEqual([
    'mask.schedule: schedule is "cosine", and examples/bert/sft.py of the reference knows only "linear"',
  ]);
  expect(
    problemsOf({
      edition: "report",
      mask: { loss_norm_type: "token", loss_weight_type: "uniform", time_epsilon: 0.01 },
    }),
  ).toEqual([
    "mask.time_epsilon: time_epsilon is 0.01, and examples/bert/sft.py at the report's commit knows only 0.001",
    'mask.loss_weight_type: loss_weight_type is "uniform", and examples/bert/sft.py at the report\'s commit knows only "scheduler"',
    'mask.loss_norm_type: loss_norm_type is "token", and examples/bert/sft.py at the report\'s commit knows only "sequence"',
  ]);
  expect(problemsOf({ sft: { test_fraction: 0.1 } })).toEqual([
    "stages.chat.test_fraction: test_fraction is 0.1, and examples/bert/sft.py of the reference splits off 0.05",
  ]);
  expect(problemsOf({ pretrain: { test_fraction: 0.1 } })).toEqual([
    "pretrain.test_fraction: test_fraction is 0.1, and examples/bert/pt.py splits nothing off",
  ]);
  expect(problemsOf({ sft: { num_train_epochs: 2.5 } })).toEqual([
    "stages.chat.num_train_epochs: num_train_epochs is 2.5, and the reference's scripts take whole epochs",
  ]);
  expect(problemsOf({ sft: { max_steps: 1000, save_steps: 0.1, keep_steps: [100, 150] } })).toEqual(
    [
      "stages.chat.keep_steps: keep_steps names step 150, and the reference writes a checkpoint every 100 steps",
    ],
  );
});

test("the reference starts from existing weights, with their tokenizer", () => {
  const model = { preset: "modernbert-base" } as const;
  expect(problemsOf({ recipe: { model } })).toEqual([
    "model: the accelerate engine starts from existing weights only",
  ]);
  expect(problemsOf({ recipe: { model }, startModel: "runs/x" })).toEqual([]);
  expect(problemsOf({ recipe: { model: { name_or_path: "m", revision: "abc" } } })).toEqual([
    "model.revision: the accelerate engine loads no revision but main",
  ]);
  expect(
    problemsOf({
      recipe: {
        tokenizer: {
          name_or_path: "t",
          train: { vocab_size: 300, dataset_args: "a" },
          chat_template: "x",
        },
      },
    }),
  ).toEqual([
    "tokenizer.name_or_path: the accelerate engine takes the tokenizer of the model",
    "tokenizer.train: the accelerate engine takes the tokenizer of the model",
    "tokenizer.chat_template: the accelerate engine takes the reference's own chat template",
  ]);
  expect(problemsOf({ recipe: { tokenizer: { name_or_path: "m" } } })).toEqual([]);
});

const textOf = (changes: Variation) => {
  const outcome = build(changes);
  return outcome.ok ? outcome.value.text : outcome.problems[0]!.message;
};

test("strategies and Slurm settings reach the launch", () => {
  const launchOf = (hardware: Partial<HardwareSettings>) =>
    textOf({ hardware }).replace(
      / --model_name_or_path .*| (?<!--script_path )examples\/bert.*/,
      "",
    );
  expect(launchOf({ strategy: "zero3", gpus_per_node: 2 })).toBe(
    "accelerate launch --config_file scripts/accelerate_configs/zero3.yaml --num_processes 2",
  );
  expect(launchOf({ strategy: "fsdp", gpus_per_node: 2, precision: "float32" })).toBe(
    "accelerate launch --config_file scripts/accelerate_configs/fsdp.yaml --num_processes 2 " +
      "--mixed_precision no",
  );
  const slurm = {
    partition: "gpu",
    account: "lab",
    qos: "high",
    quotatype: "spot",
    time: "12:00:00",
    cpus_per_task: 8,
  };
  expect(launchOf({ strategy: "zero2", nodes: 2, gpus_per_node: 8, slurm })).toBe(
    "sbatch --nodes=2 --gres=gpu:8 --partition=gpu --account=lab --qos=high --quotatype=spot " +
      "--time=12:00:00 --cpus-per-task=8 scripts/train.slurm.sh --accelerate_config zero2 " +
      "--script_path examples/bert/sft.py",
  );
  // What the script's header says already is not repeated.
  const asHeader = { time: "3-00:00:00", cpus_per_task: 24 };
  expect(launchOf({ strategy: "ddp", gpus_per_node: 4, slurm: asHeader })).toBe(
    "sbatch --gres=gpu:4 scripts/train.slurm.sh --accelerate_config ddp " +
      "--script_path examples/bert/sft.py",
  );
  expect(launchOf({ launcher: "slurm" })).toBe(
    "sbatch --gres=gpu:1 scripts/train.slurm.sh --accelerate_config ddp " +
      "--script_path examples/bert/sft.py",
  );
  expect(
    textOf({
      hardware: { strategy: "fsdp", gpus_per_node: 2, precision: "float32", launcher: "slurm" },
    }),
  ).toBe(
    'precision is "float32", and scripts/train.slurm.sh with ' +
      "scripts/accelerate_configs/fsdp.yaml computes in bfloat16",
  );
});

test("what the trainer does otherwise is said in words", () => {
  const wordsOf = (changes: Variation) => {
    const outcome = build(changes);
    return outcome.ok ? outcome.value.words : [];
  };
  const checkpoints =
    "the reference's trainer keeps all its checkpoints, whatever save_total_limit says";
  expect(wordsOf({})).toEqual([checkpoints]);
  expect(wordsOf({ sft: { save_total_limit: 3 } })).toEqual([]);
  expect(wordsOf({ sft: { save_total_limit: 3, keep_steps: [5] } })).toEqual([checkpoints]);
  expect(wordsOf({ sft: { global_batch_size: 48 }, recipe: { seed: 1 } })).toEqual([
    checkpoints,
    "accumulation 3: the reference's trainer does not divide ModernBERT's gradients by it, and " +
      "normalises each micro-batch by itself",
    "the reference groups rows by length 48 at a time instead of 16: another order of rows",
    "the reference splits test rows off with seed 42, whatever the seed is",
  ]);
  const eight = { strategy: "ddp", gpus_per_node: 8 } as const;
  const perDevice =
    "loss_norm_type token: the reference's trainer takes each device's mean over its own tokens, " +
    "and the mean of those";
  expect(wordsOf({ hardware: eight })).toEqual([checkpoints, perDevice]);
  expect(wordsOf({ hardware: eight, edition: "report" })).toEqual([checkpoints]);
  const slurm = { time: "1:00:00", cpus_per_task: 24 };
  expect(wordsOf({ hardware: { ...eight, slurm }, edition: "report" })).toEqual([
    checkpoints,
    "scripts/train.slurm.sh names a partition and a quota type of its authors' cluster: edit it, " +
      "or write hardware.slurm.partition and quotatype",
    "scripts/train.slurm.sh needs a directory logs",
  ]);
  const site = { ...slurm, partition: "gpu", quotatype: "spot" };
  expect(wordsOf({ hardware: { ...eight, slurm: site } })).toEqual([
    checkpoints,
    perDevice,
    "scripts/train.slurm.sh needs a directory .logs",
  ]);
  expect(wordsOf({ pretrain: {} })).toEqual([
    checkpoints,
    "the reference's pt.py splits nothing off: it evaluates on the dataset's own test split",
  ]);
});
