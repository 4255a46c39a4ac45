/** @file Answers cut out of canvases, against the reference (golden/tokens/README.md); exact. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { createTokenizer, type Tokenizer } from "../../src/data/tokenizer.js";
import { infillTrim, sampleTrim } from "../../src/sample/trim.js";
import { assetsDirectory, goldenDirectory, printGolden } from "../support/golden.js";

interface TrimCase {
  family: string;
  fn: "sample_trim" | "infill_trim";
  sequence: number[];
  input: number[];
  text: string;
}

const golden = goldenDirectory();
const assets = assetsDirectory();

// The set's README: these two were given minimal configurations of their own.
const folders: Readonly<Record<string, { folder: string; config?: Record<string, unknown> }>> = {
  modernbert: { folder: "tokenizer-modernbert" },
  bert: {
    folder: "tokenizer-bert-base-uncased",
    config: { tokenizer_class: "BertTokenizer", model_max_length: 512 },
  },
  roberta: {
    folder: "tokenizer-roberta-base",
    config: { tokenizer_class: "RobertaTokenizer", model_max_length: 512 },
  },
};

function tokenizerOf(family: string): Tokenizer {
  const { folder, config } = folders[family]!;
  const read = (file: string): Record<string, unknown> => {
    const path = join(assets ?? "", folder, file);
    if (!existsSync(path)) return {};
    return JSON.parse(readFileSync(path, "utf8")) as Record<string, unknown>;
  };
  return createTokenizer({
    name: folder,
    json: read("tokenizer.json"),
    config: config ?? read("tokenizer_config.json"),
    specialTokens: read("special_tokens_map.json"),
  });
}

describe.skipIf(golden === undefined || assets === undefined)("golden trim", () => {
  test("sample_trim and infill_trim", () => {
    const cases = readFileSync(join(golden ?? "", "tokens", "trim.jsonl"), "utf8")
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line) as TrimCase);
    expect(cases.length).toBeGreaterThan(10);
    const tokenizers = new Map<string, Tokenizer>();
    for (const { family, fn, sequence, input, text } of cases) {
      const tokenizer = tokenizers.get(family) ?? tokenizerOf(family);
      tokenizers.set(family, tokenizer);
      const { maskId } = tokenizer;
      const found =
        fn === "sample_trim"
          ? sampleTrim(tokenizer, sequence, input)
          : infillTrim(tokenizer, { sequence, input, maskId });
      expect([family, fn, sequence.join(), found]).toEqual([family, fn, sequence.join(), text]);
    }
    printGolden("trimming", cases.length);
  });
});
