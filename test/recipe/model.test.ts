/** @file The `model` section: presets, families and their config keys. */
import { expect, test } from "vitest";
import { modelFamilyNames } from "../../src/base/model-config.js";
import {
  modelConfigFields,
  modelPresetNames,
  modelPresets,
  presetsOf,
} from "../../src/recipe/model-fields.js";
import { problemsOf, smallRecipe } from "../support/recipes.js";

const recipe = (model: string, rest = "") => `name: x
model: ${model}
tokenizer: {name_or_path: t}
pretrain: {dataset_args: t}
${rest}`;

const modelOf = (model: string) => smallRecipe(recipe(model)).recipe.model;

test("a preset is a whole architecture, vocabulary included", () => {
  expect(modelOf("{preset: modernbert-large}")).toEqual({
    preset: "modernbert-large",
    family: "modernbert",
    config: {
      hidden_size: 1024,
      num_hidden_layers: 28,
      num_attention_heads: 16,
      intermediate_size: 2624,
      initializer_range: 0.02,
      vocab_size: 50368,
      max_position_embeddings: 8192,
      global_attn_every_n_layers: 3,
      local_attention: 128,
      global_rope_theta: 160_000,
      local_rope_theta: 10_000,
      norm_eps: 1e-5,
      initializer_cutoff_factor: 2,
      embedding_dropout: 0,
      attention_dropout: 0,
      mlp_dropout: 0,
    },
  });
  expect(modelOf("{preset: bert-large-cased}")).toEqual({
    preset: "bert-large-cased",
    family: "bert",
    config: {
      hidden_size: 1024,
      num_hidden_layers: 24,
      num_attention_heads: 16,
      intermediate_size: 4096,
      initializer_range: 0.02,
      vocab_size: 28996,
      max_position_embeddings: 512,
      type_vocab_size: 2,
      layer_norm_eps: 1e-12,
      hidden_dropout_prob: 0.1,
      attention_probs_dropout_prob: 0.1,
    },
  });
});

test("config changes parts of a preset", () => {
  const { family, config } = modelOf("{preset: roberta-large, config: {num_hidden_layers: 2}}");
  expect(family).toBe("roberta");
  expect(config).toMatchObject({ num_hidden_layers: 2, hidden_size: 1024, vocab_size: 50265 });
});

test("without a preset, the family's defaults, and the tokenizer's vocabulary", () => {
  expect(modelOf("{family: roberta, config: {hidden_size: 384}}")).toEqual({
    family: "roberta",
    config: {
      hidden_size: 384,
      num_hidden_layers: 12,
      num_attention_heads: 12,
      intermediate_size: 3072,
      initializer_range: 0.02,
      max_position_embeddings: 514,
      type_vocab_size: 1,
      layer_norm_eps: 1e-5,
      hidden_dropout_prob: 0.1,
      attention_probs_dropout_prob: 0.1,
    },
  });
  expect(modelOf("{config: {}}").family).toBe("modernbert");
});

test("an existing model has neither family nor config in the recipe", () => {
  expect(modelOf("{name_or_path: m}")).toEqual({ name_or_path: "m" });
});

test("every family has presets, and a preset changes only keys of its family", () => {
  expect(modelPresetNames).toHaveLength(8);
  for (const family of modelFamilyNames) {
    expect(presetsOf(family).length).toBeGreaterThanOrEqual(2);
    for (const name of presetsOf(family)) {
      for (const key of Object.keys(modelPresets[name].config)) {
        expect(Object.keys(modelConfigFields[family]), name).toContain(key);
      }
    }
  }
});

test("where a value comes from", () => {
  const text = recipe("{preset: bert-base-uncased, config: {hidden_size: 384}}");
  const loaded = smallRecipe(text, ["model.config.vocab_size=40000"]);
  const from = (key: string) => [loaded.origin(key), loaded.position(key)];
  expect(from("model.config.hidden_size")).toEqual(["file", "recipes/small.yaml:2:58"]);
  expect(from("model.config.layer_norm_eps")).toEqual(["preset", "recipes/small.yaml:2:17"]);
  expect(from("model.family")).toEqual(["preset", "recipes/small.yaml:2:17"]);
  expect(from("model.config.vocab_size")).toEqual([
    "override",
    "--set model.config.vocab_size=40000",
  ]);
  const bare = smallRecipe(recipe("{config: {}}"));
  expect(bare.origin("model.config.norm_eps")).toBe("default");
  expect(bare.position("model.config.norm_eps")).toBe("recipes/small.yaml:2:9");
  expect(smallRecipe(text, ["model.preset=bert-base-cased"]).position("model.family")).toBe(
    "--set model.preset=bert-base-cased",
  );
});

const bertKeys = `attention_probs_dropout_prob, hidden_dropout_prob, hidden_size,
    initializer_range, intermediate_size, layer_norm_eps, max_position_embeddings,
    num_attention_heads, num_hidden_layers, type_vocab_size, vocab_size`;

const cases: Record<string, [text: string, problems: string]> = {
  "a key of other families": [
    recipe("{config: {layer_norm_eps: 1e-6}}"),
    `r.yaml:2:18: unknown key "layer_norm_eps" in model.config of family modernbert
  2 | model: {config: {layer_norm_eps: 1e-6}}
    |                  ^^^^^^^^^^^^^^
  expected one of: attention_dropout, embedding_dropout, global_attn_every_n_layers,
    global_rope_theta, hidden_size, initializer_cutoff_factor, initializer_range,
    intermediate_size, local_attention, local_rope_theta, max_position_embeddings, mlp_dropout,
    norm_eps, num_attention_heads, num_hidden_layers, vocab_size
  it is a key of family bert and roberta`,
  ],
  "keys of another family than the preset's, and a typo": [
    recipe("{preset: bert-base-cased, config: {norm_eps: 1, hiden_size: 3}}"),
    `r.yaml:2:43: unknown key "norm_eps" in model.config of family bert
  2 | model: {preset: bert-base-cased, config: {norm_eps: 1, hiden_size: 3}}
    |                                           ^^^^^^^^
  expected one of: ${bertKeys}
  it is a key of family modernbert
r.yaml:2:56: unknown key "hiden_size" in model.config of family bert
  2 | model: {preset: bert-base-cased, config: {norm_eps: 1, hiden_size: 3}}
    |                                                        ^^^^^^^^^^
  expected one of: ${bertKeys}
  did you mean "hidden_size"?
2 problems in r.yaml`,
  ],
  "an unknown family, whose keys may be any": [
    recipe("{family: robrta, config: {layer_norm_eps: 0, norm_eps: 1e-5}}"),
    `r.yaml:2:17: family is "robrta", expected "modernbert", "bert" or "roberta"
  2 | model: {family: robrta, config: {layer_norm_eps: 0, norm_eps: 1e-5}}
    |                 ^^^^^^
  did you mean "roberta"?
r.yaml:2:50: layer_norm_eps is 0, expected a number above 0
  2 | model: {family: robrta, config: {layer_norm_eps: 0, norm_eps: 1e-5}}
    |                                                  ^
2 problems in r.yaml`,
  ],
  "an unknown preset": [
    recipe("{preset: bert-base}"),
    `r.yaml:2:17: preset is "bert-base", expected "modernbert-base", "modernbert-large", "bert-base-uncased", "bert-large-uncased", "bert-base-cased", "bert-large-cased", "roberta-base" or "roberta-large"
  2 | model: {preset: bert-base}
    |                 ^^^^^^^^^
  did you mean "bert-base-uncased"?`,
  ],
  "a family beside a preset of another one": [
    recipe("{preset: modernbert-base, family: bert}"),
    `r.yaml:2:42: family is "bert", and preset modernbert-base is of family "modernbert"
  2 | model: {preset: modernbert-base, family: bert}
    |                                          ^^^^
  remove it, or take a preset of bert: bert-base-uncased, bert-large-uncased, bert-base-cased,
    bert-large-cased`,
  ],
  "a preset beside an existing model": [
    recipe("{preset: modernbert-base, name_or_path: m}"),
    `r.yaml:2:17: preset is written beside name_or_path, whose own config applies
  2 | model: {preset: modernbert-base, name_or_path: m}
    |                 ^^^^^^^^^^^^^^^
  remove one of the two`,
  ],
  "a family alone": [
    recipe("{family: bert}"),
    `r.yaml:2:1: model has neither preset, config nor name_or_path
  2 | model: {family: bert}
    | ^^^^^
  to train from scratch write "preset:" with a published architecture or "config:" with the
    model's size, to start from an existing model "name_or_path:"`,
  ],
  "heads that do not divide a preset's width": [
    recipe("{preset: modernbert-base, config: {num_attention_heads: 5}}"),
    `r.yaml:2:64: hidden_size 768 over num_attention_heads 5 gives 153.6 per head, expected an even integer
  2 | model: {preset: modernbert-base, config: {num_attention_heads: 5}}
    |                                                                ^
  the nearest hidden_size for 5 heads is 770`,
  ],
  "heads of odd width, which BERT may have": [
    recipe("{family: bert, config: {hidden_size: 24, num_attention_heads: 8}}"),
    "",
  ],
  "rows longer than a preset's positions": [
    recipe("{preset: roberta-base}", "sft: {dataset_args: t}").replace(
      "{dataset_args: t}",
      "{dataset_args: t, max_length: 513}",
    ),
    `r.yaml:4:41: pretrain.max_length is 513, expected at most 512, what max_position_embeddings (514) leaves of roberta's positions
  4 | pretrain: {dataset_args: t, max_length: 513}
    |                                         ^^^
  lower max_length, or raise model.config.max_position_embeddings`,
  ],
  "answers longer than a preset's positions": [
    recipe("{preset: bert-base-cased, config: {}}", "sft: {dataset_args: t, max_length: 512}\n") +
      "eval: {tasks: [exact_match], sampler: {max_new_tokens: 513, steps: 128}}\n",
    `r.yaml:6:56: eval.sampler.max_new_tokens is 513, expected at most max_position_embeddings (512)
  6 | eval: {tasks: [exact_match], sampler: {max_new_tokens: 513, steps: 128}}
    |                                                        ^^^
  lower max_new_tokens, or raise model.config.max_position_embeddings`,
  ],
  "a tokenizer larger than a preset's vocabulary, at the preset": [
    recipe("{preset: bert-base-cased}").replace(
      "{name_or_path: t}",
      "{train: {vocab_size: 30000, dataset_args: t}}",
    ),
    `r.yaml:2:17: vocab_size is 28996, expected at least the tokenizer's 30000
  2 | model: {preset: bert-base-cased}
    |                 ^^^^^^^^^^^^^^^
  write model.config.vocab_size: 30000, or lower tokenizer.train.vocab_size`,
  ],
  "no tokenizer, at the preset": [
    recipe("{preset: bert-base-cased}").replace("tokenizer: {name_or_path: t}\n", ""),
    `r.yaml:2:17: a model from scratch has no tokenizer of its own
  2 | model: {preset: bert-base-cased}
    |                 ^^^^^^^^^^^^^^^
  add "tokenizer:" with "train:" (a new one) or "name_or_path:" (an existing one)`,
  ],
};

test.each(Object.entries(cases))("diagnostics: %s", (_, [text, problems]) => {
  expect(problemsOf(text)).toBe(problems);
});
