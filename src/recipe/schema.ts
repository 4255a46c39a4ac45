/**
 * @file Recipe keys, types and defaults: their only home, with its parts for one section each
 * (the files *-fields.ts, model-source.ts) and editions.ts. Names and defaults are those of
 * ZHZisZZ/dllm@ca17675 (dllm/utils/configs.py, dllm/core/trainers/mdlm.py,
 * dllm/core/samplers/mdlm.py, examples/bert) unless a line says DIFFERS.
 */
import type { datasetFields } from "./dataset-fields.js";
import { evalFields, evalTaskFields, samplerFields } from "./evaluation-fields.js";
import {
  anything,
  choice,
  either,
  integer,
  list,
  map,
  optional,
  partial,
  record,
  section,
  text,
  variants,
  withDefault,
  type Resolved,
} from "./fields.js";
import { hardwareFields } from "./hardware-fields.js";
import { maskFields } from "./mask-fields.js";
import { modelFields } from "./model-fields.js";
import { expectFields, reproducesFields } from "./publication-fields.js";
import { exportFields, stageIdRule, stageVariants } from "./stage-fields.js";
import { sweepFields } from "./sweep-fields.js";
import { tokenizerFields } from "./tokenizer-fields.js";
import { pretrainFields, sftFields, trainFields } from "./training-fields.js";

const variableRule = {
  pattern: "^[A-Za-z_][A-Za-z0-9_]{0,63}$",
  patternHint: "a variable name of at most 64 letters, digits and `_`, beginning with no digit",
};

/** The name becomes a directory under runs/. */
const nameRule = {
  pattern: "^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$",
  patternHint: "at most 128 letters, digits, `.`, `_` and `-`, beginning with a letter or digit",
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
