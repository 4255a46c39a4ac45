/**
 * @file What the schema cannot say: rules between keys. A rule looks only at values that the
 * schema accepted, so that one mistake gives one message.
 */
import { configDefaults, usablePositions } from "../base/model-config.js";
import type { DeepPartial } from "./defaults.js";
import { modelPresets, presetsOf } from "./model-fields.js";
import type { Recipe, TrainingStageName } from "./schema.js";

/** Reports a problem of the value at a key path (or of its closest written section). */
export type Report = (keyPath: string, message: string, ...details: string[]) => void;

export interface CheckInputs {
  recipe: DeepPartial<Recipe>;
  /** Whether a key was written, even with an invalid value. */
  isWritten: (keyPath: string) => boolean;
  report: Report;
}

const WINDOWS_DEVICE = /^(con|prn|aux|nul|com\d|lpt\d)(\..*)?$/i;
const trainingStages = ["pretrain", "sft"] as const satisfies readonly TrainingStageName[];

/** Reports every broken rule of a recipe. */
export function checkRecipe(inputs: CheckInputs): void {
  checkName(inputs);
  checkModelSource(inputs);
  checkModelConfig(inputs);
  checkTokenizer(inputs);
  for (const stage of trainingStages) checkTraining(inputs, stage);
  checkLengths(inputs);
  checkStages(inputs);
  checkEval(inputs);
}

function checkName({ recipe: { name }, report }: CheckInputs): void {
  if (name !== undefined && (WINDOWS_DEVICE.test(name) || name.endsWith("."))) {
    report("name", `name is ${JSON.stringify(name)}, which cannot be a directory on Windows`);
  }
}

function checkModelSource({ recipe, isWritten, report }: CheckInputs): void {
  const { model } = recipe;
  if (model === undefined) return;
  const isExisting = isWritten("model.name_or_path");
  for (const key of isExisting ? ["preset", "family", "config"] : []) {
    if (!isWritten(`model.${key}`)) continue;
    report(
      `model.${key}`,
      `${key} is written beside name_or_path, whose own config applies`,
      "remove one of the two",
    );
  }
  if (!isExisting && !isFromScratch(isWritten)) {
    report(
      "model",
      "model has neither preset, config nor name_or_path",
      'to train from scratch write "preset:" with a published architecture or "config:" with the ' +
        'model\'s size, to start from an existing model "name_or_path:"',
    );
  }
  const { preset, family } = model;
  if (!isExisting && preset !== undefined && family !== undefined) {
    const own = modelPresets[preset].family;
    if (own !== family) {
      report(
        "model.family",
        `family is "${family}", and preset ${preset} is of family "${own}"`,
        `remove it, or take a preset of ${family}: ${presetsOf(family).join(", ")}`,
      );
    }
  }
}

function isFromScratch(isWritten: CheckInputs["isWritten"]): boolean {
  return isWritten("model.preset") || isWritten("model.config");
}

function checkModelConfig({ recipe, report, isWritten }: CheckInputs): void {
  const { family, config } = recipe.model ?? {};
  if (config === undefined) return;
  const { hidden_size: hidden, num_attention_heads: heads } = config;
  // ModernBERT's rotary positions turn pairs of values.
  const unit = (family === "modernbert" ? 2 : 1) * (heads ?? 1);
  if (hidden !== undefined && heads !== undefined && hidden % unit !== 0) {
    const key = isWritten("model.config.hidden_size") ? "hidden_size" : "num_attention_heads";
    const near = Math.max(1, Math.round(hidden / unit)) * unit;
    report(
      `model.config.${key}`,
      `hidden_size ${hidden} over num_attention_heads ${heads} gives ` +
        `${Number((hidden / heads).toFixed(3))} per head, expected an ` +
        `${family === "modernbert" ? "even " : ""}integer`,
      `the nearest hidden_size for ${heads} heads is ${near}`,
    );
  }
  const tokens = recipe.tokenizer?.train?.vocab_size;
  if (config.vocab_size !== undefined && tokens !== undefined && config.vocab_size < tokens) {
    report(
      "model.config.vocab_size",
      `vocab_size is ${config.vocab_size}, expected at least the tokenizer's ${tokens}`,
      isWritten("model.config.vocab_size") && !isWritten("model.preset")
        ? "leave it out to take the tokenizer's"
        : `write model.config.vocab_size: ${tokens}, or lower tokenizer.train.vocab_size`,
    );
  }
}

function checkTokenizer({ recipe, isWritten, report }: CheckInputs): void {
  if (isWritten("tokenizer") && recipe.tokenizer === undefined) return;
  if (isWritten("tokenizer.name_or_path") && isWritten("tokenizer.train")) {
    report(
      "tokenizer.train",
      "train is written beside name_or_path: a tokenizer is either brought or trained",
      "remove one of the two",
    );
  }
  const isThere = isWritten("tokenizer.name_or_path") || isWritten("tokenizer.train");
  if (isFromScratch(isWritten) && !isWritten("model.name_or_path") && !isThere) {
    const model = isWritten("model.config") ? "model.config" : "model.preset";
    report(
      isWritten("tokenizer") ? "tokenizer" : model,
      "a model from scratch has no tokenizer of its own",
      'add "tokenizer:" with "train:" (a new one) or "name_or_path:" (an existing one)',
    );
  }
}

function checkTraining({ recipe, isWritten, report }: CheckInputs, stage: TrainingStageName): void {
  const settings = recipe[stage];
  if (settings === undefined) return;
  const key = (name: string) => `${stage}.${name}`;
  const { max_steps: maxSteps, warmup_steps: warmupSteps } = settings;
  if (maxSteps === 0) {
    report(key("max_steps"), "max_steps is 0, expected -1 or an integer at least 1");
  }
  if (maxSteps !== undefined && maxSteps > 0 && isWritten(key("num_train_epochs"))) {
    report(
      key("max_steps"),
      `max_steps ${maxSteps} and num_train_epochs are both written, and each decides the length`,
      "remove one of the two; max_steps: -1 leaves it to num_train_epochs",
    );
  }
  if (warmupSteps !== undefined && warmupSteps > 0) {
    if (isWritten(key("warmup_ratio"))) {
      report(
        key("warmup_steps"),
        `warmup_steps ${warmupSteps} and warmup_ratio are both written, and each decides the warm-up`,
        "remove one of the two",
      );
    }
    if (maxSteps !== undefined && maxSteps > 0 && warmupSteps > maxSteps) {
      report(
        key("warmup_steps"),
        `warmup_steps is ${warmupSteps}, expected at most max_steps (${maxSteps})`,
      );
    }
  }
  for (const name of ["logging_steps", "eval_steps", "save_steps"] as const) {
    const steps = settings[name];
    if (steps !== undefined && steps > 1 && !Number.isInteger(steps)) {
      report(
        key(name),
        `${name} is ${steps}, expected an integer (steps) or a number below 1 (a fraction of all)`,
      );
    }
  }
}

function checkLengths({ recipe, report, isWritten }: CheckInputs): void {
  const { family, config } = recipe.model ?? {};
  const rows = config?.max_position_embeddings;
  if (family === undefined || rows === undefined) return;
  // A brought tokenizer may have another padding id: the training looks again.
  const padTokenId = configDefaults[family].pad_token_id;
  const longest = usablePositions(family, { maxPositionEmbeddings: rows, padTokenId });
  const limit =
    longest === rows
      ? `max_position_embeddings (${rows})`
      : `${longest}, what max_position_embeddings (${rows}) leaves of ${family}'s positions`;
  const check = (keyPath: string, value: number | undefined) => {
    if (value === undefined || value <= longest) return;
    const name = keyPath.slice(keyPath.lastIndexOf(".") + 1);
    const at = isWritten(keyPath) ? keyPath : "model.config.max_position_embeddings";
    report(
      at,
      `${keyPath} is ${value}, expected at most ${limit}`,
      `lower ${name}, or raise model.config.max_position_embeddings`,
    );
  };
  check("pretrain.max_length", recipe.pretrain?.max_length);
  check("sft.max_length", recipe.sft?.max_length);
  if (recipe.eval?.tasks?.includes("exact_match") === true) {
    check("eval.sampler.max_new_tokens", recipe.eval.sampler?.max_new_tokens);
  }
}

function checkStages({ isWritten, report }: CheckInputs): void {
  const trains = trainingStages.some(isWritten);
  if (isWritten("sft") && !isWritten("pretrain") && !isWritten("model.name_or_path")) {
    report(
      "sft",
      "sft has no model to start from: there is neither pretrain nor model.name_or_path",
      'add "pretrain:" before it, or name an existing model in "model: {name_or_path: …}"',
    );
  }
  if (trains) return;
  if (isWritten("eval")) {
    report(
      "eval",
      "eval has no test split: there is neither pretrain nor sft, whose data it evaluates on",
      'add "pretrain:" or "sft:"',
    );
  } else if (!isWritten("export")) {
    report("", "the recipe has no stage", "add at least one of: pretrain, sft, export");
  } else if (isWritten("model") && !isWritten("model.name_or_path")) {
    report("export", "export has no trained model: there is neither pretrain nor sft");
  }
}

function checkEval({ recipe, isWritten, report }: CheckInputs): void {
  const settings = recipe.eval;
  if (settings === undefined) return;
  const present = trainingStages.filter(isWritten);
  for (const [index, stage] of (settings.from ?? []).entries()) {
    if (present.length > 0 && !(present as readonly string[]).includes(stage)) {
      report(
        `eval.from.${index}`,
        `eval.from names ${JSON.stringify(stage)}, a stage that this recipe does not have`,
        `expected one of: ${present.join(", ")}`,
      );
    }
  }
  if (settings.limit === 0)
    report("eval.limit", "limit is 0, expected -1 or an integer at least 1");
  const tasks = settings.tasks ?? [];
  if (tasks.includes("exact_match") && present.length > 0 && !isWritten("sft")) {
    report(
      `eval.tasks.${tasks.indexOf("exact_match")}`,
      "exact_match needs conversations with answers, and this recipe has no sft",
      "remove it from eval.tasks",
    );
  }
  const { max_new_tokens: tokens, block_size: block, steps } = settings.sampler ?? {};
  if (tokens !== undefined && block !== undefined && steps !== undefined) {
    const blocks = Math.ceil(tokens / block);
    if (steps < blocks) {
      report(
        "eval.sampler.steps",
        `steps is ${steps}, expected at least ${blocks}: ${tokens} new tokens in blocks of ` +
          `${block} are ${blocks} blocks, and each takes at least one step`,
      );
    }
  }
}
