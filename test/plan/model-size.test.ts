import { expect, test } from "vitest";
import { modelFamilies } from "../../src/model/registry.js";
import { layOut } from "../../src/model/parameters.js";
import type { ModelFamilyDefinition } from "../../src/model/family.js";
import { configDefaults, modelFamilyNames } from "../../src/base/model-config.js";
import {
  countParameters,
  presetOfModel,
  presetShape,
  recipeModelShape,
  shapeOf,
} from "../../src/plan/model-size.js";
import { modelPresetNames, modelPresets } from "../../src/recipe/model-fields.js";

/** The number of parameters that the model itself would have. */
function laidOut(family: keyof typeof modelFamilies, config: object): number {
  const definition = modelFamilies[family] as ModelFamilyDefinition;
  const json = { ...configDefaults[family], model_type: family, ...config };
  return layOut(definition.parameters(definition.parseConfig(json))).size;
}

test.each(modelPresetNames)("%s has as many parameters as the model itself", (preset) => {
  const { family, config } = modelPresets[preset];
  const counts = countParameters(presetShape(preset));
  expect(counts.total).toBe(laidOut(family, config));
});

test("the published counts", () => {
  const total = (preset: (typeof modelPresetNames)[number]) =>
    countParameters(presetShape(preset)).total;
  expect(Object.fromEntries(modelPresetNames.map((name) => [name, total(name)]))).toEqual({
    "modernbert-base": 149_655_232,
    "modernbert-large": 395_881_664,
    "bert-base-uncased": 109_514_298,
    "bert-large-uncased": 335_174_458,
    "bert-base-cased": 108_340_804,
    "bert-large-cased": 333_610_308,
    "roberta-base": 124_697_433,
    "roberta-large": 355_412_057,
  });
});

test.each(modelFamilyNames)("%s: every size of the config counts as in the model", (family) => {
  const small = {
    hidden_size: 24,
    num_hidden_layers: 5,
    num_attention_heads: 2,
    intermediate_size: 40,
    vocab_size: 400,
    max_position_embeddings: 70,
    pad_token_id: 0,
    ...(family !== "modernbert" && { type_vocab_size: 3 }),
  };
  for (const change of [{}, { hidden_size: 36 }, { num_hidden_layers: 1 }, { vocab_size: 99 }]) {
    const config = { ...small, ...change };
    expect(countParameters(shapeOf(family, config)).total).toBe(laidOut(family, config));
  }
});

test("parts add up: ModernBERT-base by hand", () => {
  expect(countParameters(presetShape("modernbert-base"))).toEqual({
    embedding: 38_682_624 + 768,
    layer: 5_015_040,
    layers: 5_014_272 + 21 * 5_015_040,
    head: 768 + 589_824 + 768 + 50_368,
    total: 149_655_232,
  });
});

test("published models are known by their hub name, old names included", () => {
  expect(presetOfModel("answerdotai/ModernBERT-large")).toBe("modernbert-large");
  expect(presetOfModel("google-bert/bert-base-cased")).toBe("bert-base-cased");
  expect(presetOfModel("roberta-large")).toBe("roberta-large");
  expect(presetOfModel("dllm-hub/ModernBERT-base-chat-v0.1")).toBe("modernbert-base");
  expect(presetOfModel("my/model")).toBeUndefined();
  expect(presetOfModel("constructor")).toBeUndefined();
});

test("the shape of a recipe's model", () => {
  const hidden = (recipe: Parameters<typeof recipeModelShape>[0], config?: object) => {
    const shape = recipeModelShape(recipe, config as Record<string, unknown> | undefined);
    return shape && [shape.family, shape.hidden, shape.vocabulary];
  };
  const train = { vocab_size: 2048, dataset_args: "a" };
  expect(hidden({ model: { name_or_path: "answerdotai/ModernBERT-large" } })).toEqual([
    "modernbert",
    1024,
    50_368,
  ]);
  expect(hidden({ model: { name_or_path: "models/mine" } })).toBeUndefined();
  expect(
    hidden({ model: { name_or_path: "models/mine" } }, { model_type: "bert", hidden_size: 64 }),
  ).toEqual(["bert", 64, 30_522]);
  expect(hidden({ model: { name_or_path: "models/mine" } }, { model_type: "gpt2" })).toBe(
    undefined,
  );
  const broken = { model_type: "bert", hidden_size: "64" };
  expect(hidden({ model: { name_or_path: "models/mine" } }, broken)).toBeUndefined();
  expect(hidden({ model: { preset: "roberta-large" } })).toEqual(["roberta", 1024, 50_265]);
  expect(
    hidden({ model: { family: "modernbert", config: { hidden_size: 128 } }, tokenizer: { train } }),
  ).toEqual(["modernbert", 128, 2048]);
  expect(hidden({ model: { family: "bert", config: { hidden_size: 128 } } })).toBeUndefined();
});
