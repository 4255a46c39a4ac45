/**
 * @file What the schema cannot say: rules between keys. A rule looks only at values that the
 * schema accepted, so that one mistake gives one message.
 */
import { configDefaults, usablePositions } from "../base/model-config.js";
import { checkStages } from "./check-stages.js";
import { checkSweep } from "./check-sweep.js";
import { reportClash, type CheckInputs } from "./check-inputs.js";
import { modelPresets, presetsOf } from "./model-fields.js";
import { settingsAt, writtenStages } from "./stage-sections.js";

const WINDOWS_DEVICE = /^(con|prn|aux|nul|com\d|lpt\d)(\..*)?$/i;

/** Reports every broken rule of a recipe. */
export function checkRecipe(inputs: CheckInputs): void {
  checkName(inputs);
  checkModelSource(inputs);
  checkModelConfig(inputs);
  checkTokenizer(inputs);
  checkStages(inputs);
  checkLengths(inputs);
  checkSweep(inputs);
}

function checkName({ recipe: { name }, report }: CheckInputs): void {
  if (name !== undefined && (WINDOWS_DEVICE.test(name) || name.endsWith("."))) {
    report("name", `name is ${JSON.stringify(name)}, which cannot be a directory on Windows`);
  }
}

function checkModelSource(inputs: CheckInputs): void {
  const { recipe, isWritten, report } = inputs;
  const { model } = recipe;
  if (model === undefined) return;
  const isExisting = isWritten("model.name_or_path");
  for (const key of isExisting ? ["preset", "family", "config"] : []) {
    if (!isWritten(`model.${key}`)) continue;
    reportClash(
      inputs,
      [`model.${key}`, "model.name_or_path"],
      `${key} is written beside name_or_path, whose own config applies`,
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

function checkTokenizer(inputs: CheckInputs): void {
  const { recipe, isWritten, report } = inputs;
  if (isWritten("tokenizer") && recipe.tokenizer === undefined) return;
  if (isWritten("tokenizer.name_or_path") && isWritten("tokenizer.train")) {
    reportClash(
      inputs,
      ["tokenizer.train", "tokenizer.name_or_path"],
      "train is written beside name_or_path: a tokenizer is either brought or trained",
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
  for (const { kind, keyPath } of writtenStages(recipe, isWritten)) {
    const stage = settingsAt(recipe, keyPath);
    if (kind === "pretrain" || kind === "sft") {
      check(`${keyPath}.max_length`, stage?.["max_length"] as number | undefined);
    } else if (
      kind === "eval" &&
      (stage?.["tasks"] as string[] | undefined)?.includes("exact_match")
    ) {
      const sampler = stage?.["sampler"] as { max_new_tokens?: number } | undefined;
      check(`${keyPath}.sampler.max_new_tokens`, sampler?.max_new_tokens);
    }
  }
}
