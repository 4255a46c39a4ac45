/**
 * @file Recipe keys, types and defaults: their only home (model-fields.ts and editions.ts are
 * parts of it). Names and defaults are those of
 * ZHZisZZ/dllm@ca17675 (dllm/utils/configs.py, dllm/core/trainers/mdlm.py,
 * dllm/core/samplers/mdlm.py, examples/bert) unless a line says DIFFERS.
 */
import {
  anything,
  choice,
  either,
  flag,
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
import { benchmarksFields } from "./benchmark-fields.js";
import { hardwareFields } from "./hardware-fields.js";
import { modelFields } from "./model-fields.js";
import { sweepFields } from "./sweep-fields.js";

/** Letters, digits, dot, underscore, hyphen; the name becomes a directory under runs/. */
const NAME_PATTERN = "^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$";
const NAME_HINT = "at most 128 letters, digits, `.`, `_` and `-`, beginning with a letter or digit";

/** One dataset of the list form of `dataset_args`; each key is also a `[key:value]` of the text. */
const datasetFields = {
  name: text("A file or directory relative to the recipe, `npm:<package>/<path>`, or hub id."),
  config: optional(text("Configuration of a hub dataset.")),
  split: optional(text("Split that the training rows come from.")),
  revision: optional(text("Branch, tag or commit of a hub dataset; by default `main`.")),
  weight: optional(
    number("Sampling weight in an interleaved mix; all datasets have one or none has.", {
      exclusiveMinimum: 0,
    }),
  ),
  max_samples: optional(
    integer("Most rows to take of each split, the first ones.", { minimum: 1 }),
  ),
  train: optional(integer("Rows of the training split, the first ones.", { minimum: 1 })),
  test: optional(integer("Rows of the test split, the first ones.", { minimum: 1 })),
  lang: optional(text("Keep rows of this language (OpenCoder datasets).")),
  messages: optional(text("Column that holds a list of messages.")),
  prompt: optional(text("Column of the question, with `completion`.")),
  completion: optional(text("Column of its answer.")),
  text: optional(text("Column of the text to pretrain on; by default the section's text_field.")),
};

const datasetArgs = (what: string) =>
  either(
    `${what}: one or more of \`name[key:value,…]\` joined with \`+\` or \`|\`, or a list of ` +
      "datasets; a name is a file or directory relative to the recipe, `npm:<package>/<path>`, " +
      "or a Hugging Face dataset.",
    text("Datasets as a text."),
    list("Datasets as a list.", map("A dataset.", datasetFields)),
  );

const stoppingStrategy = withDefault(
  "first_exhausted",
  choice("Where datasets have weights, the mix ends with the first, or when all have been seen.", [
    "first_exhausted",
    "all_exhausted",
  ]),
);

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

const stepsOrFraction = (what: string) =>
  number(`${what} every so many steps; below 1, a fraction of all steps.`, { exclusiveMinimum: 0 });

const trainFields = {
  learning_rate: withDefault(1e-4, number("Peak learning rate.", { exclusiveMinimum: 0 })),
  lr_scheduler_type: withDefault(
    "cosine",
    choice("Shape of the learning rate after the warm-up; `constant` has no warm-up.", [
      "cosine",
      "linear",
      "constant_with_warmup",
      "constant",
    ]),
  ),
  warmup_ratio: withDefault(
    0.1,
    number("Share of all steps in which the learning rate rises from 0.", {
      minimum: 0,
      maximum: 1,
    }),
  ),
  warmup_steps: withDefault(
    0,
    integer("Warm-up in steps; 0 leaves it to warmup_ratio.", { minimum: 0 }),
  ),
  num_train_epochs: withDefault(20, number("Passes over the data.", { exclusiveMinimum: 0 })),
  max_steps: withDefault(
    -1,
    integer("Optimizer steps; -1 leaves it to num_train_epochs.", { minimum: -1 }),
  ),
  per_device_train_batch_size: withDefault(16, integer("Rows of a micro-batch.", { minimum: 1 })),
  per_device_eval_batch_size: withDefault(
    16,
    integer("Rows of a batch in evaluations during the training.", { minimum: 1 }),
  ),
  gradient_accumulation_steps: withDefault(
    1,
    integer("Micro-batches per optimizer step.", { minimum: 1 }),
  ),
  global_batch_size: optional(
    integer(
      "Rows of an optimizer step over all devices; by default per_device_train_batch_size × " +
        "devices × gradient_accumulation_steps. Written, it is kept exactly on any devices.",
      { minimum: 1 },
    ),
  ),
  weight_decay: withDefault(
    0,
    number("AdamW's weight decay (not on biases and norms).", { minimum: 0 }),
  ),
  adam_beta1: withDefault(
    0.9,
    number("AdamW's decay of the first moment.", { minimum: 0, exclusiveMaximum: 1 }),
  ),
  adam_beta2: withDefault(
    0.999,
    number("AdamW's decay of the second moment.", { minimum: 0, exclusiveMaximum: 1 }),
  ),
  adam_epsilon: withDefault(1e-8, number("Added to AdamW's denominator.", { exclusiveMinimum: 0 })),
  max_grad_norm: withDefault(
    1,
    number("The gradient is scaled down to this global L2 norm.", { exclusiveMinimum: 0 }),
  ),
  logging_steps: withDefault(10, stepsOrFraction("Log the loss")),
  eval_strategy: withDefault(
    "steps",
    choice("Whether the test split is evaluated during the training.", ["no", "steps"]),
  ),
  eval_steps: withDefault(0.1, stepsOrFraction("Evaluate")),
  save_steps: withDefault(0.1, stepsOrFraction("Write a checkpoint to resume from")),
  keep_steps: optional(
    list(
      "Steps whose models are kept beside the final one, for stages that start `from: stage@step`.",
      integer("A step.", { minimum: 1 }),
    ),
  ),
  // DIFFERS: the reference keeps all; a finished model is an artifact, older checkpoints are not
  // (test/recipe/load.test.ts).
  save_total_limit: withDefault(
    2,
    integer("Checkpoints to keep, the newest first.", { minimum: 2 }),
  ),
};

const groupByLength = (value: boolean) => ({
  group_by_length: withDefault(value, flag("Put rows of similar length into one batch.")),
});

const testFraction = withDefault(
  0.05,
  number("Share of the rows split off as the test split where a dataset brings none.", {
    minimum: 0,
    exclusiveMaximum: 1,
  }),
);

const badRowFields = {
  on_bad_row: withDefault(
    "error",
    choice("A row that cannot be read, or holds nothing to train on, is an error or left out.", [
      "error",
      "skip",
    ]),
  ),
  max_bad_row_ratio: withDefault(
    0.01,
    number("Greatest share of bad rows of a dataset that is left out; more is an error.", {
      minimum: 0,
      maximum: 1,
    }),
  ),
};

const pretrainFields = {
  dataset_args: datasetArgs("Text to pretrain on"),
  // DIFFERS: the reference's default is "Text", after its default dataset
  // (test/recipe/load.test.ts).
  stopping_strategy: stoppingStrategy,
  streaming: withDefault(
    false,
    flag(
      "Read the rows while training instead of preparing them all, again and again; needs " +
        "max_steps. Held out are a dataset's own test split, or its first rows with `[test:N]`.",
    ),
  ),
  text_field: withDefault("text", text("Key of the text in JSONL rows.")),
  insert_eos: withDefault(true, flag("End each text with the end-of-sequence token.")),
  drop_tail: withDefault(true, flag("Drop the tokens after the last full chunk.")),
  max_length: withDefault(128, integer("Tokens per chunk.", { minimum: 1 })),
  test_fraction: testFraction,
  ...badRowFields,
  ...trainFields,
  ...groupByLength(false),
};

const sftFields = {
  dataset_args: datasetArgs("Conversations (rows with `messages`) to fine-tune on"),
  stopping_strategy: stoppingStrategy,
  max_length: withDefault(512, integer("Longest row, in tokens.", { minimum: 1 })),
  truncation: withDefault(
    "right",
    choice("Rows that are too long are cut at the right, or filtered out.", ["right", "filter"]),
  ),
  mask_prompt_loss: withDefault(
    true,
    flag("Train the last message only; all before it is context."),
  ),
  test_fraction: testFraction,
  ...badRowFields,
  ...trainFields,
  ...groupByLength(true),
};

const samplerFields = {
  max_new_tokens: withDefault(128, integer("Tokens to generate.", { minimum: 1 })),
  block_size: withDefault(
    128,
    integer("Tokens unmasked together, block by block.", { minimum: 1 }),
  ),
  steps: withDefault(
    128,
    integer("Denoising steps over all blocks; at least one per block.", { minimum: 1 }),
  ),
  temperature: withDefault(
    0,
    number("Gumbel noise on the logits; 0 takes the most probable token.", { minimum: 0 }),
  ),
  remasking: withDefault(
    "low_confidence",
    choice("Which tokens stay masked after a step.", ["low_confidence", "random"]),
  ),
  stochastic_transfer: withDefault(
    false,
    flag("Draw the number of tokens revealed in a step instead of rounding it."),
  ),
  cfg_scale: withDefault(
    0,
    number("Strength of classifier-free guidance; 0 is off.", { minimum: 0 }),
  ),
  attention_mask: withDefault(
    "row",
    choice(
      "What the model sees of a batch: each row without its padding, or all that is no " +
        "end-of-sequence token before the first step (a batch of one row is seen whole).",
      ["row", "not_eos"],
    ),
  ),
};

const evalTaskFields = {
  tasks: withDefault(
    ["heldout_likelihood"] as readonly ("heldout_likelihood" | "exact_match")[],
    list(
      "heldout_likelihood: nll and perplexity of the test split; exact_match: generated answers.",
      choice("A task.", ["heldout_likelihood", "exact_match"]),
    ),
  ),
  limit: withDefault(
    -1,
    integer("Most rows of the test split per task; -1 takes all.", { minimum: -1 }),
  ),
  batch_size: withDefault(32, integer("Rows of a batch.", { minimum: 1 })),
  mc_num: withDefault(
    32,
    integer("Noised copies of each row in heldout_likelihood.", { minimum: 1 }),
  ),
  // DIFFERS: the reference wraps them, though neither its training nor its chat does
  // (test/recipe/editions.test.ts).
  prompt_special_tokens: withDefault(
    false,
    flag(
      "Wrap the prompts of exact_match in the tokenizer's special tokens ([CLS] … [SEP]); where " +
        "`edition: head` is written, this is the default.",
    ),
  ),
};

/** `sft`, `sft@2000` (the model it kept at that step), or `model`. */
const modelSource = (doc: string) =>
  text(doc, {
    pattern: "^[a-z0-9][a-z0-9_-]{0,63}(@[1-9]\\d*)?$",
    patternHint: "a stage such as sft, one of its kept steps such as sft@2000, or model",
  });

const evalBody = {
  ...evalTaskFields,
  benchmarks: optional(
    map("Benchmarks of lm-evaluation-harness, each a stage of its own.", benchmarksFields),
  ),
  sampler: section("How answers are generated.", samplerFields),
};

const evalFields = {
  from: optional(
    list(
      "Stages whose models are evaluated; by default the last training stage.",
      modelSource("A stage, or model."),
    ),
  ),
  ...evalBody,
};

const exportBody = {
  formats: withDefault(
    ["safetensors", "onnx"] as readonly ("safetensors" | "onnx")[],
    list("Files to write beside the tokenizer and the model card.", {
      ...choice("A format.", ["safetensors", "onnx"]),
    }),
  ),
};

const exportFields = {
  from: optional(
    modelSource("The stage whose model is exported; by default the last training stage."),
  ),
  ...exportBody,
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
