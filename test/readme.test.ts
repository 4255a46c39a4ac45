/** @file What README.md shows is true: its recipe is valid, its diagnostic is ours, its commands exist. */
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import type { DllmError } from "../src/base/errors.js";
import { runCli } from "../src/cli.js";
import { parseRecipe } from "../src/recipe/load.js";
import { fakeIo } from "./support/recipes.js";

const readme = readFileSync(new URL("../README.md", import.meta.url), "utf8");
const block = (language: string): string =>
  new RegExp(`\`\`\`${language}\n([^]*?)\n\`\`\``).exec(readme)![1]!;

describe("README", () => {
  test("its recipe is valid", () => {
    const { recipe } = parseRecipe(block("yaml"), { file: "readme.yaml" });
    expect(recipe.name).toBe("quickstart");
    expect(recipe.sft?.num_train_epochs).toBe(20);
  });

  test("its diagnostic is what a misspelt key gives", () => {
    const text = [
      "name: mine",
      "model:",
      "  family: modernbert",
      "  config: { hidden_size: 128, num_hidden_layers: 3, num_attention_heads: 8 }",
      "tokenizer:",
      "  train: { vocab_size: 2048, dataset_args: my-text.txt + my-chats }",
      "pretrain:",
      "  dataset_args: my-text.txt",
      "  max_steps: 400",
      "sft:",
      "  dataset_args: my-chats",
      "  learning_rat: 1e-3",
    ].join("\n");
    let message = "";
    try {
      parseRecipe(text, { file: "recipes/mine.yaml" });
    } catch (error) {
      message = (error as DllmError).format();
    }
    const shown = /error: (recipes\/mine[^]*?)\n```/.exec(readme)![1]!;
    const [before, after] = shown.split(/adam_beta1, adam_beta2, …/);
    expect(`error: ${message}`).toContain(before!.trimEnd());
    expect(message.endsWith(after!.trimStart())).toBe(true);
  });

  test("its commands exist", async () => {
    const named = new Set(
      [...readme.matchAll(/(?:`|npx )dllm ([a-z]+)[ `]/g)].map((match) => match[1]!),
    );
    expect(named.size).toBeGreaterThanOrEqual(9);
    for (const name of named) {
      const io = fakeIo();
      expect(await runCli([name, "--help"], io), name).toBe(0);
      expect(io.stdout()).toContain(`Usage: dllm ${name}`);
    }
  });
});
