import { readFileSync } from "node:fs";
import { Ajv } from "ajv";
import { parse } from "yaml";
import { expect, test } from "vitest";
import type { Fields } from "../../src/recipe/fields.js";
import { editDistance, nearest } from "../../src/recipe/issues.js";
import {
  recipeJsonSchema,
  recipeJsonSchemaText,
  SCHEMA_FILE,
} from "../../src/recipe/json-schema.js";
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
  visit(recipeFields, recipeJsonSchema() as unknown as { properties: Record<string, object> });
  expect(visited).toBeGreaterThan(80);
});

test("the picked keys are all there", () => {
  expect(trainKeys).toContain("group_by_length");
  expect(trainKeys).toHaveLength(20);
  expect(evalKeys).toEqual(["tasks", "limit", "batch_size", "mc_num"]);
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
});
