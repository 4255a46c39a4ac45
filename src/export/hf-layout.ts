/**
 * @file A model directory as `save_pretrained` of Hugging Face transformers writes it:
 * config.json to the byte, model.safetensors, the files of the tokenizer.
 * Source: huggingface/transformers@v4.57.6 configuration_utils.py.
 */
import { join } from "node:path";
import { writeFile } from "../base/fs.js";
import type { Json, JsonObject } from "../base/json.js";
import { configDefaults, type ModelFamily } from "../base/model-config.js";
import { tokenizerFiles } from "../data/tokenizer-files.js";
import { loadTokenizer, type Tokenizer } from "../data/tokenizer.js";
import { copyFiles, readModel } from "../model/model-directory.js";
import { layOut, tensorsOf } from "../model/parameters.js";
import type { Architecture } from "../model/registry.js";
import { writeSafetensors } from "../model/safetensors.js";

// The release whose format this is; later ones read it by this number.
const TRANSFORMERS_VERSION = "4.57.6";

/** Fields that are floating-point numbers in Python and keep their point in JSON: `160000.0`. */
const floatFields = new Set([
  "attention_dropout",
  "attention_probs_dropout_prob",
  "classifier_dropout",
  "embedding_dropout",
  "global_rope_theta",
  "hidden_dropout_prob",
  "initializer_cutoff_factor",
  "initializer_range",
  "layer_norm_eps",
  "local_rope_theta",
  "mlp_dropout",
  "norm_eps",
]);

/** Fields that transformers leaves out at this value. */
const omittedDefaults: JsonObject = { tie_word_embeddings: true };

/** Returns a float as Python's repr: shortest digits, exponent of two digits, a point. */
export function pythonFloat(value: number): string {
  const [mantissa, exponentText] = value.toExponential().split("e") as [string, string];
  const exponent = Number(exponentText);
  if (value !== 0 && (exponent < -4 || exponent >= 16)) {
    const sign = exponent < 0 ? "-" : "+";
    return `${mantissa}e${sign}${String(Math.abs(exponent)).padStart(2, "0")}`;
  }
  const text = Object.is(value, -0) ? "-0" : String(value);
  // Above 1e15 String() is still positional, as repr is; below 1e-6 it would not be.
  const positional = text.includes("e") ? value.toFixed(-exponent + mantissa.length - 2) : text;
  return positional.includes(".") ? positional : `${positional}.0`;
}

/** A JSON string as Python writes it: ASCII only. */
function pythonString(text: string): string {
  return JSON.stringify(text).replace(
    /[\u007f-\uffff]/g,
    (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}

/** `json.dumps(value, indent=2, sort_keys=True)`. */
function pythonJson(value: Json, indent: string, isFloat: boolean): string {
  if (typeof value === "number") {
    return isFloat || !Number.isInteger(value) ? pythonFloat(value) : String(value);
  }
  if (typeof value === "string") return pythonString(value);
  if (value === null || typeof value === "boolean") return String(value);
  const inner = `${indent}  `;
  const [open, close, items] = Array.isArray(value)
    ? ["[", "]", (value as Json[]).map((item) => pythonJson(item, inner, isFloat))]
    : [
        "{",
        "}",
        Object.entries(value as JsonObject)
          .sort(([a], [b]) => (a < b ? -1 : 1))
          .map(
            ([key, item]) =>
              `${pythonString(key)}: ${pythonJson(item, inner, floatFields.has(key))}`,
          ),
      ];
  if (items.length === 0) return open + close;
  return `${open}\n${items.map((item) => inner + item).join(",\n")}\n${indent}${close}`;
}

/**
 * Returns the text of config.json for float32 weights. Begin, end and padding are those of the
 * tokenizer, as the reference's trainer aligns them.
 */
export function configText(
  config: JsonObject,
  { padId, bosId, eosId }: Pick<Tokenizer, "padId" | "bosId" | "eosId">,
): string {
  const family = config["model_type"] as ModelFamily;
  const fields: Record<string, Json> = {
    ...configDefaults[family],
    // Of no use to a masked language model; where absent, the defaults could be beyond vocab_size.
    ...(family === "modernbert" && { cls_token_id: bosId, sep_token_id: eosId }),
    ...config,
    pad_token_id: padId,
    bos_token_id: bosId,
    eos_token_id: eosId,
    dtype: "float32",
    transformers_version: TRANSFORMERS_VERSION,
  };
  // The older name of dtype: where both are present, loaders read this one.
  const omitted = new Set(["torch_dtype"]);
  for (const [key, value] of Object.entries(omittedDefaults)) {
    if (fields[key] === value) omitted.add(key);
  }
  const kept = Object.fromEntries(Object.entries(fields).filter(([key]) => !omitted.has(key)));
  return `${pythonJson(kept, "", false)}\n`;
}

export interface HfLayout {
  architecture: Architecture;
  /** float32, in the order of the family's parameters. */
  parameters: Float32Array;
  /** Names of the files written. */
  files: string[];
}

/**
 * Writes the Hugging Face layout of a model directory into another one, which the caller
 * publishes. Shards become one file, half precision float32, tied copies are left out.
 * @throws DllmError 65 or 66 when the directory is no model
 */
export async function writeHfLayout({
  modelDirectory,
  directory,
  withWeights,
}: {
  modelDirectory: string;
  directory: string;
  withWeights: boolean;
}): Promise<HfLayout> {
  const { architecture, parameters } = await readModel(modelDirectory);
  const { family, config } = architecture;
  const tokenizer = await loadTokenizer(modelDirectory);
  await writeFile(join(directory, "config.json"), configText(config.json, tokenizer));
  const files = ["config.json"];
  if (withWeights) {
    const tensors = tensorsOf(layOut(family.parameters(config)), parameters);
    await writeSafetensors(join(directory, "model.safetensors"), tensors);
    files.push("model.safetensors");
  }
  files.push(...(await copyFiles(modelDirectory, directory, tokenizerFiles)));
  return { architecture, parameters, files };
}
