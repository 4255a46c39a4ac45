import { readFileSync } from "node:fs";
import { Ajv } from "ajv";
import { parse } from "yaml";
import { expect, test } from "vitest";
import { modelFamilyNames } from "../../src/base/model-config.js";
import type { Fields } from "../../src/recipe/fields.js";
import { editDistance, nearest } from "../../src/recipe/issues.js";
import {
  recipeJsonSchema,
  recipeJsonSchemaText,
  SCHEMA_FILE,
} from "../../src/recipe/json-schema.js";
import { modelConfigFields } from "../../src/recipe/model-fields.js";
import { evalKeys, recipeFields, trainKeys } from "../../src/recipe/schema.js";

test("the committed JSON Schema is current (run `npm run schema`)", () => {
  expect(readFileSync(SCHEMA_FILE, "utf8")).toBe(recipeJsonSchemaText());
});

test("the quickstart recipe is valid against the committed file and points to it", () => {
  const text = readFileSync("recipes/quickstart.yaml", "utf8");
  expect(text.split("\n")[0]).toBe(`# yaml-language-server: $schema=../${SCHEMA_FILE}`);
  const schema = JSON.parse(readFileSync(SCHEMA_FILE, "utf8")) as object;
  const validate = new Ajv({ strict: true }).compile(schema);
  expect(validate(parse(text))).toBe(true);
  expect(validate({ ...(parse(text) as object), extra: 1 })).toBe(false);
});

test("every field has a doc of one line, and its default is valid", () => {
  let visited = 0;
  const visit = (fields: Fields, schema: { properties: Record<string, object> }) => {
    for (const [key, field] of Object.entries(fields)) {
      const property = schema.properties[key]!;
      expect(field.doc, key).toMatch(/^\S[^\n]{10,300}$/);
      if (field.presence === "defaulted" && field.shape.type !== "map") {
        const validate = new Ajv({ strict: true }).compile(property);
        expect(validate(field.defaultValue), key).toBe(true);
      }
      if (field.shape.type === "map") {
        visit(field.shape.fields, property as { properties: Record<string, object> });
      }
      visited++;
    }
  };
  const schema = recipeJsonSchema() as unknown as { properties: Record<string, Branch> };
  // The keys of model.config are in a branch for each family, and all of them in the last.
  let branch: Branch = schema.properties["model"]!;
  for (const family of modelFamilyNames) {
    visit(modelConfigFields[family], branch.then!.properties["config"] as Branch);
    branch = branch.else!;
  }
  Object.assign(schema.properties["model"]!.properties["config"]!, branch.properties["config"]);
  visit(recipeFields, schema);
  expect(visited).toBeGreaterThan(110);
});

interface Branch {
  properties: Record<string, object>;
  then?: Branch;
  else?: Branch;
}

test.each([
  [{ preset: "bert-base-cased", config: { layer_norm_eps: 1 } }, true],
  [{ preset: "bert-base-cased", config: { norm_eps: 1 } }, false],
  [{ family: "roberta", config: { layer_norm_eps: 1 } }, true],
  [{ family: "roberta", config: { norm_eps: 1 } }, false],
  [{ family: "bert", preset: "modernbert-base", config: { norm_eps: 1 } }, true],
  [{ family: "modernbert", config: { norm_eps: 1 } }, true],
  [{ config: { norm_eps: 1 } }, true],
  [{ config: { layer_norm_eps: 1 } }, false],
  [{ name_or_path: "m", config: { layer_norm_eps: 1 } }, true],
  [{ family: "gpt", config: { layer_norm_eps: 1 } }, false],
])("editors know the config keys of %j: %s", (model, valid) => {
  const schema = JSON.parse(readFileSync(SCHEMA_FILE, "utf8")) as object;
  const validate = new Ajv({ strict: true }).compile(schema);
  expect(validate({ name: "x", model })).toBe(valid);
});

test("the picked keys are all there", () => {
  expect(trainKeys).toContain("group_by_length");
  expect(trainKeys).toHaveLength(22);
  expect(evalKeys).toEqual(["tasks", "limit", "batch_size", "mc_num", "prompt_special_tokens"]);
});

test.each([
  ["", "abc", 3],
  ["abc", "abc", 0],
  ["abc", "acb", 1],
  ["kitten", "sitting", 3],
  ["remaksing", "remasking", 1],
])("edit distance of %j and %j is %d", (a, b, distance) => {
  expect(editDistance(a, b)).toBe(distance);
  expect(editDistance(b, a)).toBe(distance);
});

test("nearest takes the closest word, and none that is far", () => {
  const words = ["max_steps", "max_length", "warmup_steps"];
  expect(nearest("maxSteps", words)).toBe("max_steps");
  expect(nearest("max-lenght", words)).toBe("max_length");
  expect(nearest("color", words)).toBeUndefined();
  // The beginning of a word says more than a few letters in common.
  expect(nearest("bert-base", ["roberta-base", "bert-base-cased"])).toBe("bert-base-cased");
  expect(nearest("max", words)).toBeUndefined();
  expect(nearest(",", ["|", "+"])).toBeUndefined();
});
