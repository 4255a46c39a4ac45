/**
 * @file The arguments of the reference's training scripts for a training stage of a recipe. An
 * argument is written where the published commands always write it (script-arguments.ts), and
 * wherever the recipe's value differs from the script's default. What the scripts cannot express
 * is a problem, never left out in silence.
 */
import type {
  MaskSettings,
  PretrainSettings,
  Recipe,
  SftSettings,
  TrainingStageName,
} from "../../recipe/schema.js";
import type { BatchPlan } from "../batch.js";
import { failure, success, type Outcome, type PlanProblem } from "../problem.js";
import { referenceDatasetText } from "./dataset-text.js";
import { modelProblems, settingProblems } from "./inexpressible.js";
import {
  alwaysWritten,
  argumentDefaults,
  argumentOrder,
  argumentText,
  scriptPaths,
  type ArgumentName,
  type ArgumentValue,
} from "./script-arguments.js";

/** The parts of a recipe that its training commands depend on. */
export type TrainRecipe = Pick<
  Recipe,
  "edition" | "dataset_separators" | "model" | "tokenizer" | "mask" | "hardware" | "seed"
>;

/** A training stage of a recipe, wherever in it the stage stands. */
export type TrainStage = { readonly path: string } & (
  | { readonly kind: "pretrain"; readonly settings: PretrainSettings }
  | { readonly kind: "sft"; readonly settings: SftSettings }
);

export interface TrainArgumentInputs {
  recipe: TrainRecipe;
  stage: TrainStage;
  batch: BatchPlan;
  /**
   * Directory of the model to start from, with its tokenizer, where it is another stage's or was
   * fetched already; without it model.name_or_path is named.
   */
  startModel?: string;
  outputDirectory: string;
  /** Where the reference finds a dataset; by default under the name that the recipe writes. */
  locateDataset?: (name: string) => string;
}

export interface TrainArguments {
  /** Relative to a checkout of the reference. */
  script: string;
  /** In the order of the published commands. */
  argv: readonly string[];
  /** What the scripts do otherwise than the recipe says, though not in what is computed. */
  words: readonly string[];
}

type Wanted = Partial<Record<ArgumentName, ArgumentValue>>;

/** Returns the script of a training stage with its arguments. */
export function trainArguments(inputs: TrainArgumentInputs): Outcome<TrainArguments> {
  const { recipe, stage } = inputs;
  const datasets = referenceDatasetText({
    datasetArgs: stage.settings.dataset_args,
    separators: recipe.dataset_separators,
    edition: recipe.edition,
    kind: stage.kind,
    keyPath: `${stage.path}.dataset_args`,
    locate: inputs.locateDataset ?? ((name) => name),
  });
  const problems: PlanProblem[] = [
    ...(inputs.startModel === undefined ? modelProblems(recipe) : []),
    ...(datasets.ok ? [] : datasets.problems),
    ...settingProblems(recipe, stage),
  ];
  const model = inputs.startModel ?? recipe.model.name_or_path;
  if (problems.length > 0 || !datasets.ok || model === undefined) return failure(...problems);
  const wanted: Wanted = {
    model_name_or_path: model,
    dataset_args: datasets.value,
    output_dir: inputs.outputDirectory,
    ...stageArguments(stage),
    ...trainerArguments(stage.settings),
    ...objectiveArguments(recipe.mask),
    ...precisionArguments(recipe.hardware.precision),
    per_device_train_batch_size: inputs.batch.microBatchRows,
    gradient_accumulation_steps: inputs.batch.accumulation,
    seed: recipe.seed,
  };
  return success({
    script: scriptPaths[stage.kind],
    argv: writeArguments(wanted, recipe.edition, stage.kind),
    words: wordsOf(inputs),
  });
}

function writeArguments(
  wanted: Wanted,
  edition: Recipe["edition"],
  kind: TrainingStageName,
): string[] {
  const defaults = argumentDefaults[edition][kind];
  return argumentOrder.flatMap((name) => {
    const value = wanted[name];
    if (value === undefined) return [];
    const written = alwaysWritten[edition].includes(name) || value !== defaults[name];
    // An objective that the script cannot be told has been found to be the one it has.
    if (!written || (name in objectiveArgumentsOf && !(name in defaults))) return [];
    return [`--${name}`, argumentText(value)];
  });
}

function stageArguments(stage: TrainStage): Wanted {
  if (stage.kind === "pretrain") {
    const { text_field, streaming, insert_eos, drop_tail, max_length } = stage.settings;
    return { text_field, streaming, insert_eos, drop_tail, max_length };
  }
  const { max_length, truncation, mask_prompt_loss } = stage.settings;
  return { max_length, truncation, mask_prompt_loss };
}

function trainerArguments(settings: TrainStage["settings"]): Wanted {
  const bySteps = settings.max_steps > 0;
  const evaluates = settings.eval_strategy === "steps";
  return {
    learning_rate: settings.learning_rate,
    lr_scheduler_type: settings.lr_scheduler_type,
    warmup_ratio: settings.warmup_ratio,
    warmup_steps: settings.warmup_steps,
    // max_steps wins over the epochs, in the scripts as in a recipe.
    ...(bySteps
      ? { max_steps: settings.max_steps }
      : { num_train_epochs: settings.num_train_epochs }),
    per_device_eval_batch_size: settings.per_device_eval_batch_size,
    weight_decay: settings.weight_decay,
    adam_beta1: settings.adam_beta1,
    adam_beta2: settings.adam_beta2,
    adam_epsilon: settings.adam_epsilon,
    max_grad_norm: settings.max_grad_norm,
    group_by_length: settings.group_by_length,
    logging_steps: settings.logging_steps,
    eval_strategy: settings.eval_strategy,
    ...(evaluates && { eval_steps: settings.eval_steps }),
    save_steps: settings.save_steps,
    ...(limitsCheckpoints(settings) && { save_total_limit: settings.save_total_limit }),
  };
}

const objectiveArgumentsOf = {
  time_epsilon: (mask: MaskSettings) => mask.time_epsilon,
  loss_weight_type: (mask: MaskSettings) => mask.loss_weight_type,
  loss_norm_type: (mask: MaskSettings) => mask.loss_norm_type,
} satisfies Partial<Record<ArgumentName, unknown>>;

function objectiveArguments(mask: MaskSettings): Wanted {
  return Object.fromEntries(
    Object.entries(objectiveArgumentsOf).map(([name, value]) => [name, value(mask)]),
  );
}

function precisionArguments(precision: TrainRecipe["hardware"]["precision"]): Wanted {
  return { dtype: precision, bf16: precision === "bfloat16" };
}

/** A recipe's default: the scripts' own is to keep all. */
const DEFAULT_SAVE_TOTAL_LIMIT = 2;

function limitsCheckpoints(settings: TrainStage["settings"]): boolean {
  return (
    settings.keep_steps === undefined && settings.save_total_limit !== DEFAULT_SAVE_TOTAL_LIMIT
  );
}

function wordsOf({ recipe, stage, batch }: TrainArgumentInputs): string[] {
  const { settings, kind } = stage;
  const words: string[] = [];
  if (!limitsCheckpoints(settings)) {
    words.push("the reference's trainer keeps all its checkpoints, whatever save_total_limit says");
  }
  if (batch.accumulation > 1) {
    words.push(
      `accumulation ${batch.accumulation}: the reference's trainer does not divide ModernBERT's ` +
        "gradients by it, and normalises each micro-batch by itself",
    );
  }
  const devices = batch.globalBatchSize / (batch.microBatchRows * batch.accumulation);
  if (devices > 1 && recipe.mask.loss_norm_type === "token") {
    words.push(
      "loss_norm_type token: the reference's trainer takes each device's mean over its own " +
        "tokens, and the mean of those",
    );
  }
  const grouped = batch.microBatchRows * batch.accumulation;
  if (settings.group_by_length && grouped !== batch.groupRows) {
    words.push(
      `the reference groups rows by length ${grouped} at a time instead of ${batch.groupRows}: ` +
        "another order of rows",
    );
  }
  if (kind === "pretrain" && settings.eval_strategy === "steps" && settings.test_fraction > 0) {
    words.push(
      "the reference's pt.py splits nothing off: it evaluates on the dataset's own test split",
    );
  }
  if (kind === "sft" && recipe.seed !== 42) {
    words.push("the reference splits test rows off with seed 42, whatever the seed is");
  }
  return words;
}
