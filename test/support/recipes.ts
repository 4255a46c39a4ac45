/** @file Small recipes, pins and terminals for tests. */
import type { CommandIo } from "../../src/commands/command.js";
import { DllmError } from "../../src/base/errors.js";
import type { SourceParams } from "../../src/plan/params.js";
import type { Locations, Pins } from "../../src/plan/pins.js";
import {
  loadRecipe,
  parseRecipe,
  type LoadedRecipe,
  type LoadOptions,
} from "../../src/recipe/load.js";
import { readRecipeText } from "../../src/recipe/recipe-text.js";

/** All stages, few keys. */
export const SMALL_RECIPE = `name: small
model:
  config:
    hidden_size: 64
    num_attention_heads: 4
    max_position_embeddings: 128
tokenizer:
  train: {vocab_size: 512, dataset_args: text + chat}
pretrain:
  dataset_args: text
  max_length: 64
  max_steps: 100
  learning_rate: 3e-4
sft:
  dataset_args: chat
  max_length: 128
  learning_rate: 0.0003
eval:
  from: [pretrain, sft]
  tasks: [heldout_likelihood, exact_match]
  sampler: {max_new_tokens: 32, block_size: 32, steps: 32}
export: {}
`;

export function smallRecipe(text = SMALL_RECIPE, set: readonly string[] = []): LoadedRecipe {
  return parseRecipe(text, { file: "recipes/small.yaml", set });
}

/** The formatted error that a recipe gives, or "" when it is valid. */
export function problemsOf(text: string, set: readonly string[] = []): string {
  try {
    parseRecipe(text, { file: "r.yaml", set });
    return "";
  } catch (error) {
    if (error instanceof DllmError) return error.format();
    throw error;
  }
}

/** Returns the recipe `r.yaml` of these files. */
export function loadFiles(
  files: Readonly<Record<string, string>>,
  options: Omit<LoadOptions, "read"> = {},
): Promise<LoadedRecipe> {
  const read = (name: string) => {
    const text = files[name];
    return text === undefined ? readRecipeText(name) : Promise.resolve(text);
  };
  return loadRecipe("r.yaml", { ...options, read });
}

/** The formatted error that the recipe `r.yaml` of these files gives, or "" when it is valid. */
export async function problemsIn(
  files: Readonly<Record<string, string>>,
  options: Omit<LoadOptions, "read"> = {},
): Promise<string> {
  try {
    await loadFiles(files, options);
    return "";
  } catch (error) {
    if (error instanceof DllmError) return error.format();
    throw error;
  }
}

export function fakeSource(name: string, content = name): SourceParams {
  const sha256 = Buffer.from(content.padEnd(32).slice(0, 32)).toString("hex");
  return { name, options: {}, files: [{ path: `${name}.txt`, bytes: 10, sha256 }] };
}

/** Pins of the small recipe, as if its datasets had these contents. */
export function fakePins(contents: { text?: string; chat?: string } = {}): {
  pins: Pins;
  locations: Locations;
} {
  const text = fakeSource("text", contents.text);
  const chat = fakeSource("chat", contents.chat);
  return {
    pins: {
      datasets: {
        "tokenizer.train.dataset_args": [text, chat],
        "pretrain.dataset_args": [text],
        "sft.dataset_args": [chat],
        // Stages that tests add under `stages`.
        "stages.again.dataset_args": [chat],
        "stages.early.dataset_args": [chat],
        "stages.late.dataset_args": [chat],
      },
    },
    locations: { text: "/data/text", chat: "/data/chat" },
  };
}

/** A terminal that remembers what was written to it. */
export function fakeIo(): CommandIo & { stdout: () => string; stderr: () => string } {
  let stdout = "";
  let stderr = "";
  return {
    out: (line) => void (stdout += `${line}\n`),
    err: (line) => void (stderr += `${line}\n`),
    write: (text) => void (stdout += text),
    input: process.stdin,
    isTty: false,
    columns: 80,
    stdout: () => stdout,
    stderr: () => stderr,
  };
}
