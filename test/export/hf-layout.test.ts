import { mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import type { JsonObject } from "../../src/base/json.js";
import { configText, pythonFloat, writeHfLayout } from "../../src/export/hf-layout.js";
import { goldenDirectory } from "../support/golden.js";
import { writeModelDirectory } from "../support/model-directory.js";
import { inTemporaryDirectory } from "../support/temporary-directory.js";

const golden = goldenDirectory();
const readConfig = (path: string) => JSON.parse(readFileSync(path, "utf8")) as JsonObject;

// The right column is what Python 3.11 prints.
test.each([
  [0, "0.0"],
  [-0, "-0.0"],
  [1, "1.0"],
  [160000, "160000.0"],
  [0.02, "0.02"],
  [1e-5, "1e-05"],
  [0.0001, "0.0001"],
  [0.00012, "0.00012"],
  [1.5e-7, "1.5e-07"],
  [1e-12, "1e-12"],
  [1e15, "1000000000000000.0"],
  [1e16, "1e+16"],
  [1.25e22, "1.25e+22"],
  [-2.5, "-2.5"],
])("%d is written as Python does: %s", (value, text) => {
  expect(pythonFloat(value)).toBe(text);
});

test.skipIf(golden === undefined).each(["pt_checkpoint_final", "sft_checkpoint-30"])(
  "re-writing the checkpoint %s gives the reference's bytes",
  (name) =>
    inTemporaryDirectory(async (directory) => {
      const modelDirectory = join(golden!, "interop", name);
      const { files } = await writeHfLayout({ modelDirectory, directory, withWeights: true });
      expect(files.sort()).toEqual([
        "chat_template.jinja",
        "config.json",
        "model.safetensors",
        "special_tokens_map.json",
        "tokenizer.json",
        "tokenizer_config.json",
      ]);
      for (const file of files) {
        const written = readFileSync(join(directory, file));
        expect(written.equals(readFileSync(join(modelDirectory, file))), file).toBe(true);
      }
    }),
);

test.skipIf(golden === undefined).each(["modernbert", "bert", "roberta"])(
  "a config.json of %s with nothing but its sizes is completed as transformers does",
  (family) => {
    const path = join(golden!, "models", family, "config.json");
    const full = readConfig(path);
    const sizes = Object.fromEntries(
      Object.entries(full).filter(
        ([key, value]) =>
          (typeof value === "number" && !key.endsWith("token_id")) || key === "model_type",
      ),
    );
    const ids = { padId: 9, bosId: 9, eosId: 9 };
    const expected = { ...full, pad_token_id: 9, bos_token_id: 9, eos_token_id: 9 };
    if (family === "modernbert") Object.assign(expected, { cls_token_id: 9, sep_token_id: 9 });
    expect(JSON.parse(configText(sizes, ids))).toEqual(expected);
    // Every number is written as in the original: 160000.0 stays a float.
    const lines = new Set(readFileSync(path, "utf8").replaceAll(",\n", "\n").split("\n"));
    const changed = configText(sizes, ids)
      .replaceAll(",\n", "\n")
      .split("\n")
      .filter((line) => !lines.has(line) && !line.includes("token_id"));
    expect(changed).toEqual([]);
  },
);

test("shards' dtype and older names do not survive; unknown fields do", () => {
  const config = { model_type: "modernbert", torch_dtype: "bfloat16", tie_word_embeddings: true };
  const text = configText(
    { ...config, id2label: { "0": "größe\u2028" }, note: [], empty: {} },
    { padId: 0, bosId: 1, eosId: 2 },
  );
  const parsed = JSON.parse(text) as JsonObject;
  expect(parsed).not.toHaveProperty("torch_dtype");
  expect(parsed).not.toHaveProperty("tie_word_embeddings");
  expect(parsed["dtype"]).toBe("float32");
  expect(parsed["id2label"]).toEqual({ "0": "größe\u2028" });
  expect(text).toContain('"0": "gr\\u00f6\\u00dfe\\u2028"');
  expect(text).toContain('"note": []');
  expect(text).toContain('"empty": {}');
});

test("without weights, the rest is written", () =>
  inTemporaryDirectory(async (root) => {
    const modelDirectory = join(root, "model");
    await writeModelDirectory(modelDirectory);
    const directory = join(root, "out");
    mkdirSync(directory);
    const { files } = await writeHfLayout({ modelDirectory, directory, withWeights: false });
    expect(files).toEqual(["config.json", "tokenizer.json", "tokenizer_config.json"]);
  }));
