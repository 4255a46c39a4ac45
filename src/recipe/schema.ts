/**
 * @file Recipe keys, types and defaults: their only home (the files named …-fields.ts and
 * editions.ts are parts of it). Names and defaults are those of
 * ZHZisZZ/dllm@ca17675 (dllm/utils/configs.py, dllm/core/trainers/mdlm.py,
 * dllm/core/samplers/mdlm.py, examples/bert) unless a line says DIFFERS.
 */
import {
  anything,
  choice,
  either,
  integer,
  list,
  map,
  number,
  optional,
  partial,
  record,
  section,
  text,
  variants,
  withDefault,
  type Resolved,
} from "./fields.js";
import { datasetArgs, type datasetFields } from "./data-fields.js";
import { hardwareFields } from "./hardware-fields.js";
import { modelFields } from "./model-fields.js";
import {
  evalBody,
  evalFields,
  evalTaskFields,
  exportBody,
  exportFields,
  modelSource,
  samplerFields,
} from "./result-fields.js";
import { sweepFields } from "./sweep-fields.js";
import { pretrainFields, sftFields, trainFields } from "./training-fields.js";

/** Letters, digits, dot, underscore, hyphen; the name becomes a directory under runs/. */
const NAME_PATTERN = "^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$";
const NAME_HINT = "at most 128 letters, digits, `.`, `_` and `-`, beginning with a letter or digit";

const tokenizerFields = {
  name_or_path: optional(
    text(
      "Directory with tokenizer.json, relative to the recipe; by default that of model.name_or_path.",
    ),
  ),
  train: optional(
    map("Train a byte-level BPE tokenizer.", {
      vocab_size: integer("Number of tokens, special tokens included.", {
        minimum: 300,
        maximum: 1_000_000,
      }),
      added_tokens: optional(
        list(
          "Texts that are one token each wherever they occur, such as the chat template's markers.",
          text("An added token."),
        ),
      ),
      dataset_args: datasetArgs("What to train it on, text or chat rows"),
    }),
  ),
  chat_template: optional(
    text(
      "Jinja chat template; by default the tokenizer's own, or else [Question]/[Answer] markers.",
    ),
  ),
};

const maskFields = {
  schedule: withDefault(
    "linear",
    choice("Alpha schedule: probability that a token is unmasked at time t.", ["linear", "cosine"]),
  ),
  time_epsilon: withDefault(
    1e-3,
    number("Timesteps are drawn from [time_epsilon, 1).", {
      exclusiveMinimum: 0,
      exclusiveMaximum: 1,
    }),
  ),
  loss_weight_type: withDefault(
    "scheduler",
    choice("Weight of a masked token's loss: by the alpha schedule, or 1.", [
      "scheduler",
      "uniform",
    ]),
  ),
  loss_norm_type: withDefault(
    "token",
    choice("The loss is averaged over maskable tokens, per sequence, or per batch row.", [
      "token",
      "sequence",
      "batch",
    ]),
  ),
};

const startsFrom = withDefault(
  "model",
  modelSource("Start from the model of this stage, or from the recipe's own (`model`)."),
);

/** The keys of a stage under `stages`, by its kind. */
const stageVariants = {
  pretrain: { from: startsFrom, ...pretrainFields },
  sft: { from: startsFrom, ...sftFields },
  eval: {
    from: list("Stages whose models are evaluated.", modelSource("A stage, or model.")),
    data: optional(
      text("The training stage on whose test split to evaluate; by default the model's own."),
    ),
    ...evalBody,
  },
  export: { from: modelSource("The stage whose model is exported."), ...exportBody },
};

const stageIdRule = {
  pattern: "^(?!prepare)[a-z0-9][a-z0-9_-]{0,63}$",
  patternHint:
    "a stage id of at most 64 lower-case letters, digits, `_` and `-`, not beginning with `prepare`",
};

const variableRule = {
  pattern: "^[A-Za-z_][A-Za-z0-9_]{0,63}$",
  patternHint: "a variable name of at most 64 letters, digits and `_`, beginning with no digit",
};

const nameRule = { pattern: NAME_PATTERN, patternHint: NAME_HINT };

const reproducesFields = {
  report: text("What is reproduced: a report, paper or README, as a title or link."),
  edition: optional(text("Which of its versions: date, tag or name.")),
  experiment: optional(text("Which of its experiments.")),
  dllm_commit: optional(
    text("Commit of ZHZisZZ/dllm that was run.", {
      pattern: "^[0-9a-f]{7,40}$",
      patternHint: "a commit hash of 7 to 40 hexadecimal digits",
    }),
  ),
  note: optional(text("What is known to be unclear or different.")),
};

const expectFields = {
  stage: text("Stage whose figure this is."),
  task: text("Task, such as exact_match or gsm8k_bert."),
  metric: optional(text("Metric of the task; by default its first.")),
  value: number("The published figure, on the scale of `dllm results` (accuracies from 0 to 1)."),
  tolerance: optional(number("How far off still counts as equal.", { minimum: 0 })),
  source: optional(text("Where it was published.")),
};

/** All keys of a recipe. */
export const recipeFields = {
  name: text("Name of the run: its files go to runs/<name>/.", nameRule),
  description: optional(text("What this recipe is for, in a line.")),
  extends: optional(
    either(
      "Recipes that this one builds on, relative to it: maps are merged, everything else is " +
        "replaced, `key: null` removes; later ones win.",
      text("A recipe file."),
      list("Recipe files.", text("A recipe file.")),
    ),
  ),
  vars: optional(
    record(
      "Variables: `${name}` stands for the value, `${env:NAME}` for an environment variable.",
      variableRule,
      anything("A value."),
    ),
  ),
  profiles: optional(
    record(
      "Variants of this recipe by name, each a part of a recipe laid over it by `--profile NAME`.",
      nameRule,
      partial("A part of a recipe."),
    ),
  ),
  reproduces: optional(map("The published experiment that this recipe repeats.", reproducesFields)),
  expects: optional(
    list("Published figures to compare results with.", map("A figure.", expectFields)),
  ),
  seed: withDefault(
    42,
    integer("Seed of everything random.", { minimum: 0, maximum: Number.MAX_SAFE_INTEGER }),
  ),
  edition: withDefault(
    "head",
    choice(
      "Whose defaults apply where the reference changed them: those of its current code (head) " +
        "or of the report's day; a key that is written always wins.",
      ["head", "report"],
    ),
  ),
  dataset_separators: withDefault(
    ["|", "+"] as readonly ("|" | "+")[],
    list(
      "What separates datasets in a dataset_args; a character that is left out may be in a name.",
      choice("A separator.", ["|", "+"]),
    ),
  ),
  model: map(
    "The model: from scratch (preset, config) or an existing one (name_or_path).",
    modelFields,
  ),
  tokenizer: optional(map("The tokenizer: an existing one or one to train.", tokenizerFields)),
  mask: section("The masked-diffusion objective.", maskFields),
  hardware: section("How to run; never what is computed.", hardwareFields),
  pretrain: optional(map("Pretrain on plain text.", pretrainFields)),
  sft: optional(map("Fine-tune on conversations.", sftFields)),
  eval: optional(map("Evaluate trained models on the test split.", evalFields)),
  export: optional(map("Write the final model in Hugging Face layout and as ONNX.", exportFields)),
  stages: optional(
    record(
      "Further stages by id, several of a kind where wanted: each says its kind and where it " +
        "starts from.",
      stageIdRule,
      variants("A stage.", "kind", stageVariants),
    ),
  ),
  sweep: optional(map("Run this recipe with many values, as a W&B sweep.", sweepFields)),
};

export type Recipe = Resolved<typeof recipeFields>;

export type Edition = Recipe["edition"];
export type DatasetSeparator = Recipe["dataset_separators"][number];
export type MaskSettings = Resolved<typeof maskFields>;
export type AlphaScheduleName = MaskSettings["schedule"];
export type PretrainSettings = Resolved<typeof pretrainFields>;
export type SftSettings = Resolved<typeof sftFields>;
/** How a model is trained: the part that `pretrain` and `sft` have in common. */
export type TrainSettings = Resolved<typeof trainFields> & { readonly group_by_length: boolean };
/** How a model is trained whatever the devices: a step has `batch_size` rows. */
export type TrainingSettings = Omit<
  TrainSettings,
  "per_device_train_batch_size" | "gradient_accumulation_steps" | "global_batch_size" | "keep_steps"
> & {
  readonly batch_size: number;
  /** With group_by_length: multiples of so many rows are sorted by length. Otherwise 0. */
  readonly group_rows: number;
  readonly keep_steps: readonly number[];
};
export type SamplerSettings = Resolved<typeof samplerFields>;
/** `limit`: -1 for all rows. */
export type EvalSettings = Resolved<typeof evalTaskFields>;
export type ExportSettings = Resolved<typeof exportFields>;
export type HardwareSettings = Resolved<typeof hardwareFields>;
/** The datasets of a stage, as written. */
export type DatasetArgs = PretrainSettings["dataset_args"];
export type DatasetItem = Resolved<typeof datasetFields>;
/** A stage under `stages`. */
export type StageSection = NonNullable<Recipe["stages"]>[string];
export type Benchmarks = NonNullable<NonNullable<Recipe["eval"]>["benchmarks"]>;
export type Reproduces = NonNullable<Recipe["reproduces"]>;
export type Expectation = NonNullable<Recipe["expects"]>[number];
export type SweepSettings = Resolved<typeof sweepFields>;
export type TrainingStageName = "pretrain" | "sft";

const keysOf = <F extends object>(fields: F) => Object.keys(fields) as (keyof F)[];

/** The keys of TrainSettings and EvalSettings, to pick them out of a section. */
export const trainKeys: readonly (keyof TrainSettings)[] = [
  ...keysOf(trainFields),
  "group_by_length",
];
export const evalKeys: readonly (keyof EvalSettings)[] = keysOf(evalTaskFields);

/** The sampler's defaults, for commands that sample without a recipe. */
export { samplerFields };
