/** @file Editions of the reference: which defaults they change, and that a written key wins. */
import { Ajv } from "ajv";
import { expect, test } from "vitest";
import { planRun } from "../../src/plan/plan.js";
import { editions } from "../../src/recipe/editions.js";
import type { Field, Fields } from "../../src/recipe/fields.js";
import { recipeFields } from "../../src/recipe/schema.js";
import { parseDatasets } from "../../src/stages/pins.js";
import { schemaAt } from "../support/json-schema.js";
import { fakePins, SMALL_RECIPE, smallRecipe } from "../support/recipes.js";

const REPORT = `edition: report\n${SMALL_RECIPE}`;

const valueAt = (value: unknown, path: string): unknown =>
  path.split(".").reduce((found, key) => (found as Record<string, unknown>)[key], value);

function fieldAt(path: string): Field {
  let fields: Fields = recipeFields;
  const keys = path.split(".");
  for (const key of keys.slice(0, -1)) {
    const { shape } = fields[key]!;
    if (shape.type !== "map") throw new Error(`${path}: ${key} is no map`);
    fields = shape.fields;
  }
  return fields[keys.at(-1)!]!;
}

const changed = Object.entries(editions).flatMap(([edition, defaults]) =>
  Object.entries(defaults).map(([path, value]) => ({ edition, path, value: value as unknown })),
);

test("an edition changes defaults that exist, to other valid values", () => {
  expect(Object.keys(editions.head)).toEqual(["eval.prompt_special_tokens"]);
  expect(changed.length).toBeGreaterThan(8);
  for (const { path, value } of changed) {
    const { presence, defaultValue } = fieldAt(path);
    expect(presence, path).toBe("defaulted");
    expect(value, path).not.toEqual(defaultValue);
    expect(new Ajv({ strict: true }).compile(schemaAt(path))(value), path).toBe(true);
  }
});

test.each(changed)("$edition's $path is in the recipe, and a written one wins", (change) => {
  const { edition, path, value } = change;
  const text = `edition: ${edition}\n${SMALL_RECIPE}`;
  // A benchmark has settings only where it is named.
  const benchmark = /^eval\.benchmarks\.[^.]+/.exec(path)?.[0];
  const needed = benchmark === undefined ? [] : [`${benchmark}={}`];
  const plain = smallRecipe(SMALL_RECIPE, needed);
  const named = smallRecipe(text, needed);
  expect(valueAt(named.recipe, path)).toEqual(value);
  expect(named.origin(path)).toBe("edition");
  expect(named.position(path)).toBe("recipes/small.yaml:1:10");
  const set = `edition=${edition}`;
  expect(smallRecipe(SMALL_RECIPE, [...needed, set]).position(path)).toBe(`--set ${set}`);

  // Written as the default, which it would have without an edition.
  const own = JSON.stringify(fieldAt(path).defaultValue);
  const written = smallRecipe(text, [...needed, `${path}=${own}`]);
  expect(valueAt(written.recipe, path)).toEqual(valueAt(plain.recipe, path));
  expect(written.origin(path)).toBe("override");
  expect(plain.origin(path)).toBe("default");
});

test("head is the default but for its evaluation prompts, and an edition adds no section", () => {
  const { recipe: plain } = smallRecipe();
  expect(plain.eval?.prompt_special_tokens).toBe(false);
  expect(smallRecipe(REPORT).recipe.eval?.prompt_special_tokens).toBe(false);
  expect(smallRecipe(`edition: head\n${SMALL_RECIPE}`).recipe).toEqual({
    ...plain,
    eval: { ...plain.eval, prompt_special_tokens: true },
  });
  const { recipe } = smallRecipe(REPORT.replace(/^sft:[^]*(?=^export)/m, ""));
  expect(recipe.sft).toBeUndefined();
  expect(recipe.eval).toBeUndefined();
});

test("separators reach the datasets", () => {
  const names = (text: string, set: readonly string[] = []) =>
    parseDatasets(smallRecipe(text, set))[0]!.parts.map(({ name }) => name);
  expect(names(SMALL_RECIPE)).toEqual(["text", "chat"]);
  expect(names(REPORT)).toEqual(["text + chat"]);
  expect(names(REPORT, ["tokenizer.train.dataset_args=text|chat"])).toEqual(["text", "chat"]);
  expect(names(REPORT, ["dataset_separators=['+']"])).toEqual(["text", "chat"]);
});

test("a plan says that the edition changed a value", () => {
  const plan = (text: string, previous?: ReturnType<typeof planRun>) =>
    planRun({
      loaded: smallRecipe(text),
      ...fakePins(),
      cores: 4,
      existing: () => undefined,
      previous,
    });
  const reasons = Object.fromEntries(
    plan(REPORT, plan(SMALL_RECIPE)).stages.map(({ id, reason }) => [id, reason]),
  );
  expect(reasons["prepare-sft"]).toBe(
    "test_fraction changed 0.05 -> 0.1 (recipes/small.yaml:1:10, the edition's default)",
  );
  expect(reasons["pretrain"]).toBe(
    "loss_norm_type changed token -> sequence (recipes/small.yaml:1:10, the edition's default) and 2 more",
  );
  expect(reasons["eval"]).toBe(
    "mc_num changed 32 -> 128 (recipes/small.yaml:1:10, the edition's default) and 2 more",
  );
  expect(reasons["prepare-pretrain"]).toBe("no artifact yet");
});
