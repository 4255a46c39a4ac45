import { readFileSync, readdirSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { Ajv } from "ajv";
import { parse } from "yaml";
import { expect, test } from "vitest";
import type { JsonObject } from "../../src/base/json.js";
import type { Fields } from "../../src/recipe/fields.js";
import { editDistance, nearest } from "../../src/recipe/issues.js";
import {
  recipeJsonSchema,
  recipeJsonSchemaText,
  SCHEMA_FILE,
} from "../../src/recipe/json-schema.js";
import { evalKeys, recipeFields, trainKeys } from "../../src/recipe/schema.js";
import { validatorCode, VALIDATOR_FILE } from "../../src/recipe/validator-code.js";
import { schemaAt } from "../support/json-schema.js";

test("what is committed under schemas/ is current (run `npm run schema`)", () => {
  expect(readFileSync(SCHEMA_FILE, "utf8")).toBe(recipeJsonSchemaText());
  // Not shown as a difference: it is one line of half a million characters.
  expect(readFileSync(VALIDATOR_FILE, "utf8") === validatorCode()).toBe(true);
});

const validate = new Ajv({ strict: true, allErrors: true }).compile(
  JSON.parse(readFileSync(SCHEMA_FILE, "utf8")) as object,
);

/** What an editor would underline in a file, as key paths. */
function underlined(text: string): string[] {
  if (validate(parse(text))) return [];
  const paths = (validate.errors ?? []).filter(({ keyword }) => keyword !== "if");
  return [...new Set(paths.map(({ instancePath }) => instancePath.slice(1).replaceAll("/", ".")))];
}

const shipped = readdirSync("recipes", { recursive: true, encoding: "utf8" })
  .filter((name) => name.endsWith(".yaml"))
  .map((name) => join("recipes", name));
const isPart = (text: string) => !/^name:/m.test(text);

test("there are recipes", () => {
  expect(shipped.length).toBeGreaterThanOrEqual(9);
});

test.each(shipped)("an editor underlines nothing in %s, which names the schema", (file) => {
  const text = readFileSync(file, "utf8");
  if (isPart(text)) {
    // What the recipes that extend it add.
    expect(validate(parse(text))).toBe(false);
    expect(validate.errors?.map(({ keyword, params }) => [keyword, params])).toEqual([
      ["required", { missingProperty: "name" }],
      ["required", { missingProperty: "model" }],
      ["if", { failingKeyword: "else" }],
    ]);
    return;
  }
  const schema = relative(dirname(file), SCHEMA_FILE);
  expect(text.split("\n")[0]).toBe(`# yaml-language-server: $schema=${schema}`);
  expect(underlined(text)).toEqual([]);
});

const alone = "name: x\nmodel: {config: {}}\npretrain: {dataset_args: t}\n";
const child = "name: x\nextends: base.yaml\n";

test.each([
  ["an unknown key", `${alone}extra: 1\n`, [""]],
  ["a missing key", "name: x\nmodel: {config: {}}\nsft: {}\n", ["sft"]],
  ["no model", "name: x\n", [""]],
  ["no model, which may be that of a parent", child, []],
  ["a wrong word", `${alone}mask: {schedule: sine}\n`, ["mask.schedule"]],
  ["a wrong type", `${alone}seed: many\n`, ["seed"]],
  ["a number in quotes", `${alone}seed: "1"\n`, ["seed"]],
  ["a number out of range", `${alone}seed: -1\n`, ["seed"]],
  ["an integer in groups", `${alone}seed: 1_000\n`, []],
  ["a variable", `${alone}vars: {s: 1, m: {}}\nseed: "\${s}"\nmask: "\${m}"\n`, []],
  ["a variable in a list", `${alone}eval: {tasks: ["\${t}"], from: "\${f}"}\n`, []],
  ["a text that is no variable", `${alone}mask: linear\n`, ["mask"]],
  ["an empty section", `${alone}export:\n`, ["export"]],
  ["null in a recipe that extends another", `${child}export:\nsft: {max_steps: }\n`, []],
  ["null in a profile", `${alone}profiles: {p: {export: null, seed: null}}\n`, []],
  ["no name for a profile", `${alone}profiles: {"p q": {seed: 1}}\n`, ["profiles"]],
  ["an unknown key in a profile", `${alone}profiles: {p: {sed: 1}}\n`, ["profiles.p"]],
  ["a name in a profile", `${alone}profiles: {p: {name: y}}\n`, ["profiles.p"]],
  ["an unknown key in a child", `${child}sft: {max_step: 1}\n`, ["sft"]],
  ["a stage without a kind", `${alone}stages: {a: {max_length: 1}}\n`, ["stages.a"]],
  [
    "a key of another kind of stage",
    `${alone}stages: {a: {kind: sft, dataset_args: t, mc_num: 1}}\n`,
    ["stages.a"],
  ],
  [
    "a part of a stage, whose kind its parent says",
    `${child}stages: {a: {mc_num: 1, from: [b]}, b: {from: c}}\n`,
    [],
  ],
])("an editor underlines %s", (_, text, paths) => {
  expect(underlined(text)).toEqual(paths);
});

test("every field has a doc of one line, and its default is valid", () => {
  let visited = 0;
  const visit = (fields: Fields, path: string) => {
    for (const [key, field] of Object.entries(fields)) {
      const keyPath = `${path}${key}`;
      expect(field.doc, keyPath).toMatch(/^\S[^\n]{10,300}$/);
      if (field.presence === "defaulted" && field.shape.type !== "map") {
        const schema = schemaAt(keyPath);
        expect(schema["default"], keyPath).toEqual(field.defaultValue);
        expect(new Ajv({ strict: true }).compile(schema)(field.defaultValue), keyPath).toBe(true);
      }
      if (field.shape.type === "map") visit(field.shape.fields, `${keyPath}.`);
      visited++;
    }
  };
  visit(recipeFields, "");
  expect(visited).toBeGreaterThan(110);
});

test("no key of a section is described twice, which editors would offer twice", () => {
  let maps = 0;
  const visit = (schema: JsonObject) => {
    if (schema["properties"] !== undefined && schema["additionalProperties"] === false) {
      maps++;
      for (const keyword of ["then", "else", "anyOf"]) expect(schema).not.toHaveProperty(keyword);
    }
    for (const each of Object.values(schema)) {
      if (typeof each === "object" && each !== null) visit(each as JsonObject);
    }
  };
  visit(recipeJsonSchema());
  expect(maps).toBeGreaterThan(30);
});

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
  [{ family: "${f}", config: { layer_norm_eps: 1 } }, true],
])("editors know the config keys of %j: %s", (model, valid) => {
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
