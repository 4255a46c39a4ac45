/** @file Configurations: published sizes, defaults of absent fields, models from scratch. */
import { expect, test } from "vitest";
import { DllmError } from "../../src/base/errors.js";
import type { JsonObject } from "../../src/base/json.js";
import { configDefaults, modelFamilyNames } from "../../src/base/model-config.js";
import { layOut } from "../../src/model/parameters.js";
import { modelFamilies, parseArchitecture } from "../../src/model/registry.js";
import {
  modelConfigDefaults,
  modelPresetNames,
  modelPresets,
} from "../../src/recipe/model-fields.js";

/** Of the whole model, tied values counted once: what PyTorch counts in the published models. */
const parameterCounts = {
  "modernbert-base": 149_655_232,
  "modernbert-large": 395_881_664,
  "bert-base-uncased": 109_514_298,
  "bert-large-uncased": 335_174_458,
  "bert-base-cased": 108_340_804,
  "bert-large-cased": 333_610_308,
  "roberta-base": 124_697_433,
  "roberta-large": 355_412_057,
} satisfies Record<keyof typeof modelPresets, number>;

const ids = { vocabSize: 300, padId: 4, bosId: 5, eosId: 6, clsId: undefined, sepId: undefined };

function parameterCount(json: JsonObject): number {
  const { family, config } = parseArchitecture(json);
  return layOut(family.parameters(config)).size;
}

test.each(modelPresetNames)("%s has exactly the published parameters", (name) => {
  const { family } = modelPresets[name];
  const json = modelFamilies[family].completeConfig(modelConfigDefaults(family, name), ids);
  expect(parameterCount(json)).toBe(parameterCounts[name]);
});

test("a config.json with nothing but its type is the base model", () => {
  expect(parameterCount({ model_type: "modernbert" })).toBe(parameterCounts["modernbert-base"]);
  expect(parameterCount({ model_type: "bert" })).toBe(parameterCounts["bert-base-uncased"]);
  expect(parameterCount({ model_type: "roberta" })).toBe(parameterCounts["roberta-base"]);
});

test.each(modelFamilyNames)(
  "%s from scratch: every field, the tokenizer's ids, in order",
  (name) => {
    const json = modelFamilies[name].completeConfig({ num_hidden_layers: 2 }, ids);
    expect(Object.keys(json)).toEqual(Object.keys(json).sort());
    expect(Object.keys(json)).toEqual(expect.arrayContaining(Object.keys(configDefaults[name])));
    expect(json).toMatchObject({
      model_type: name,
      num_hidden_layers: 2,
      vocab_size: 300,
      pad_token_id: 4,
      bos_token_id: 5,
      eos_token_id: 6,
      dtype: "float32",
    });
    expect(modelFamilies[name].completeConfig({ vocab_size: 512 }, ids)["vocab_size"]).toBe(512);
    expect(parseArchitecture(json).config.vocabSize).toBe(300);
  },
);

test("dropout from scratch is the family's, or the recipe's", () => {
  for (const name of ["bert", "roberta"] as const) {
    const dropout = { hidden_dropout_prob: 0.1, attention_probs_dropout_prob: 0.1 };
    expect(modelFamilies[name].completeConfig({}, ids)).toMatchObject(dropout);
    expect(modelConfigDefaults(name, undefined)).toMatchObject(dropout);
  }
  const json = modelFamilies.bert.completeConfig({ hidden_dropout_prob: 0.2 }, ids);
  expect(parseArchitecture(json).config).toMatchObject({ hiddenDropout: 0.2 });
  expect(modelConfigDefaults("modernbert", undefined)).toMatchObject({
    embedding_dropout: 0,
    attention_dropout: 0,
    mlp_dropout: 0,
  });
});

test("RoBERTa's positions begin behind its padding id", () => {
  const maxPositions = (pad: number) =>
    parseArchitecture({ model_type: "roberta", pad_token_id: pad }).config.maxPositions;
  expect(maxPositions(1)).toBe(512);
  expect(maxPositions(9)).toBe(504);
  expect(parseArchitecture({ model_type: "bert", pad_token_id: 9 }).config.maxPositions).toBe(512);

  const { family, config } = parseArchitecture({ model_type: "roberta", pad_token_id: 9 });
  const table = family.parameters(config).find(({ name }) => name.includes("position_embeddings"))!;
  expect(table.initialisation).toMatchObject({ zeroRow: 9 });

  try {
    maxPositions(513);
    expect.unreachable();
  } catch (error) {
    if (!(error instanceof DllmError)) throw error;
    expect(error.exitCode).toBe(65);
    expect(error.format()).toBe(
      "roberta config: max_position_embeddings 514 leaves no position beside pad_token_id 513\n" +
        "  expected more than 514\n" +
        "  raise it, or bring a tokenizer whose padding id is small, as the family's own is",
    );
  }
});
