import { expect, test } from "vitest";
import { planRun, type Plan } from "../../src/plan/plan.js";
import type { Fields, Shape } from "../../src/recipe/fields.js";
import { recipeFields } from "../../src/recipe/schema.js";
import { fakePins, SMALL_RECIPE, smallRecipe } from "../support/recipes.js";

interface Leaf {
  path: string;
  shape: Shape;
}

function leaves(fields: Fields, prefix = ""): Leaf[] {
  return Object.entries(fields).flatMap(([key, { shape }]) => {
    const path = `${prefix}${key}`;
    return shape.type === "map" ? leaves(shape.fields, `${path}.`) : [{ path, shape }];
  });
}

/** Keys whose value reaches a stage through the pins of what it names, not by itself. */
const pinned = /(dataset_args|dataset_separators|name_or_path)$/;

/** Valid values that differ from the small recipe's. */
const particular: Readonly<Record<string, string>> = {
  name: "other",
  "model.config.num_attention_heads": "8",
  "model.config.hidden_size": "128",
  "model.config.max_position_embeddings": "256",
  "model.config.vocab_size": "600",
  "model.config.layer_norm_eps": "1e-6",
  "model.config.type_vocab_size": "3",
  "model.preset": "bert-large-uncased",
  "tokenizer.train.added_tokens": "['[Question]']",
  "pretrain.max_length": "32",
  "sft.max_length": "64",
  "eval.from": "[sft]",
  "eval.tasks": "[exact_match]",
  "export.formats": "[onnx]",
};

function otherValue({ path, shape }: Leaf, current: unknown): string {
  const chosen = particular[path];
  if (chosen !== undefined) return chosen;
  switch (shape.type) {
    case "boolean":
      return String(current !== true);
    case "choice":
      return shape.values.find((value) => value !== current)!;
    case "string":
      return "other";
    case "number":
    case "integer":
      return String(
        shape.type === "integer" ? Math.max(2, Number(current) + 1) : Number(current) / 2 || 0.5,
      );
    default:
      throw new Error(`give ${path} a value in this test`);
  }
}

function plan(set: readonly string[]): Plan {
  return planRun({
    loaded: smallRecipe(SMALL_RECIPE, set),
    ...fakePins(),
    cores: 64,
    existing: () => undefined,
    previous: undefined,
  });
}

/** What a plan makes stages do; the recipe quoted in the model card reaches nothing by itself. */
function effect({ name, stages }: Plan): string {
  return JSON.stringify([
    name,
    stages.map(({ id, kind, params, inputs, hardware }) => {
      const own = Object.entries(params).filter(([key]) => key !== "recipe");
      return { id, kind, own, inputs, hardware };
    }),
  ]);
}

function valueAt(path: string): unknown {
  let value: unknown = smallRecipe().recipe;
  for (const key of path.split(".")) value = (value as Record<string, unknown> | undefined)?.[key];
  return value;
}

const tested = leaves(recipeFields).filter(({ path, shape }) => {
  // The model card alone quotes a description.
  if (path === "description" || pinned.test(path)) return false;
  // One word only (device, precision): there is nothing to change yet.
  if (shape.type === "choice" && shape.values.length === 1) return false;
  // Refused at plan time: test/plan/plan.test.ts.
  return path !== "hardware.strategy";
});

test("nearly all keys are tested", () => {
  expect(tested.length).toBeGreaterThan(80);
});

/** What the small recipe must say for a key to have a meaning. */
const contexts: readonly (readonly [paths: RegExp, set: readonly string[]])[] = [
  // It counts pretraining in steps.
  [/^pretrain\.num_train_epochs$/, ["pretrain.max_steps=-1"]],
  [
    /^model\.config\.(layer_norm_eps|type_vocab_size|hidden_dropout_prob|attention_probs_dropout_prob)$/,
    ["model.family=bert"],
  ],
];

test.each(tested.map((leaf) => [leaf.path, leaf] as const))("%s reaches a stage", (path, leaf) => {
  const base = contexts.find(([paths]) => paths.test(path))?.[1] ?? [];
  const set = `${path}=${otherValue(leaf, valueAt(path))}`;
  expect(effect(plan([...base, set])), set).not.toBe(effect(plan(base)));
});
