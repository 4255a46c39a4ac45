/**
 * @file Checks a recipe's tree against the schema: unknown and missing keys, types, words and
 * ranges. The code that Ajv made of the schema finds the problems, this file says them.
 */
import { createRequire } from "node:module";
import type { ErrorObject, ValidateFunction } from "ajv";
import { modelFamilyNames, type ModelFamily } from "../base/model-config.js";
import { modelFromScratch } from "./dependent-defaults.js";
import type { Field, Fields, Shape } from "./fields.js";
import { nearest, type Issue } from "./issues.js";
import { modelConfigFields } from "./model-fields.js";
import { recipeFields } from "./schema.js";
import { agentKeys } from "./sweep-fields.js";
import { describeShape, fieldsOf, hasRequiredKey, shapeAt } from "./shapes.js";
import { findNode, plainValue, usedAs, type KeyPath, type SourceNode } from "./source-tree.js";

export interface SchemaProblems {
  issues: readonly Issue[];
  /** Paths, joined by `.`, of the values that are unusable. */
  invalid: ReadonlySet<string>;
}

/** Made by validator-code.ts, relative to the repository: to compile a schema takes a second. */
export const VALIDATOR_FILE = "schemas/recipe.validator.cjs";

let validator: ValidateFunction | undefined;

/** Returns where the tree of a recipe, or of a part of one, departs from the schema. */
export function validateTree(
  root: SourceNode,
  { isPart = false }: { isPart?: boolean } = {},
): SchemaProblems {
  validator ??= createRequire(import.meta.url)(`../../${VALIDATOR_FILE}`) as ValidateFunction;
  validator(plainValue(root));
  const errors = [...(validator.errors ?? [])];

  const issues: Issue[] = [];
  const invalid = new Set<string>();
  // Keys that an unknown key was probably meant to be: they are not reported as missing, too.
  const meant = new Set<string>();
  for (const error of errors) {
    if (error.keyword !== "additionalProperties") continue;
    const section = pathOf(error);
    const key = (error.params as { additionalProperty: string }).additionalProperty;
    const { issue, suggestion } = unknownKey(root, section, key);
    issues.push(issue);
    if (suggestion !== undefined) meant.add([...section, suggestion].join("."));
  }
  for (const error of errors) {
    const path = pathOf(error);
    // That a branch does not hold (`if`) says nothing that the branch's own errors do not.
    if (error.keyword === "additionalProperties" || error.keyword === "if") continue;
    if (error.keyword === "required") {
      const key = (error.params as { missingProperty: string }).missingProperty;
      if (!isPart && !meant.has([...path, key].join("."))) issues.push(missingKey(root, path, key));
    } else if (!invalid.has(path.join("."))) {
      invalid.add(path.join("."));
      if (findNode(root, path).node.isReported !== true) issues.push(badValue(root, path, error));
    }
  }
  return { issues, invalid };
}

/** JSON Pointer to path. */
function pathOf(error: ErrorObject): KeyPath {
  if (error.instancePath === "") return [];
  return error.instancePath
    .slice(1)
    .split("/")
    .map((part) => part.replaceAll("~1", "/").replaceAll("~0", "~"));
}

function unknownKey(
  root: SourceNode,
  section: KeyPath,
  key: string,
): { issue: Issue; suggestion: string | undefined } {
  const parent = shapeAt(root, section)?.shape;
  if (parent?.type === "record") {
    const { keyAt, node } = findNode(root, [...section, key]);
    const message = `key ${JSON.stringify(key)} in ${section.join(".")}`;
    const details = [`expected ${parent.key.patternHint}`];
    return {
      issue: { at: keyAt ?? node.at, message: `${message} is no name`, details },
      suggestion: undefined,
    };
  }
  if (section.join(".") === "sweep" && agentKeys.has(key)) {
    const { keyAt, node } = findNode(root, [...section, key]);
    const message = `key ${JSON.stringify(key)} in sweep is for W&B's agent`;
    const details = ["remove it: `dllm run` starts the trials of a sweep itself"];
    return { issue: { at: keyAt ?? node.at, message, details }, suggestion: undefined };
  }
  const family = isModelConfig(section) ? modelFromScratch(root)?.family : undefined;
  const expected = Object.keys(
    family === undefined ? fieldsAt(root, section) : modelConfigFields[family],
  ).sort();
  const suggestion = nearest(key, expected);
  const owners = family === undefined ? [] : familiesWith(key);
  const elsewhere = suggestion === undefined && owners.length === 0 ? sectionsWith(key) : [];
  const { keyAt, node } = findNode(root, [...section, key]);
  const details = [`expected one of: ${expected.join(", ")}`];
  if (suggestion !== undefined) details.push(`did you mean ${JSON.stringify(suggestion)}?`);
  if (owners.length > 0) details.push(`it is a key of family ${owners.join(" and ")}`);
  if (elsewhere.length > 0) details.push(`it is a key of ${elsewhere.join(", ")}`);
  details.push(...usedAs(findNode(root, section)));
  if (key === "<<") details.push("YAML merge keys are not supported: write the keys out");
  const where =
    (section.length === 0 ? "" : ` in ${section.join(".")}`) +
    (family === undefined ? "" : ` of family ${family}`);
  const message = `unknown key ${JSON.stringify(key)}${where}`;
  return { issue: { at: keyAt ?? node.at, message, details }, suggestion };
}

const PART = "a file without a name is a part: it is checked with the recipes that extend it";

function missingKey(root: SourceNode, section: KeyPath, key: string): Issue {
  const place = findNode(root, section);
  const { keyAt, node } = place;
  const where = section.length === 0 ? "" : ` in ${section.join(".")}`;
  const field = fieldsAt(root, section)[key]!;
  const isName = section.length === 0 && key === "name";
  return {
    // A whole recipe has no key: its first character.
    at: keyAt ?? { ...node.at, length: 1 },
    message: `missing key ${JSON.stringify(key)}${where}`,
    details: [`${key}: ${field.doc}`, ...(isName ? [PART] : []), ...usedAs(place)],
  };
}

function badValue(root: SourceNode, path: KeyPath, error: ErrorObject): Issue {
  const place = findNode(root, path);
  const { keyAt, node } = place;
  const found = shapeAt(root, path);
  if (found === undefined) throw new TypeError(`badValue: there is no ${path.join(".")}`);
  const { shape } = found;
  const label = labelOf(path);
  const isEmpty = node.type === "scalar" && node.value === null;
  const at = (isEmpty ? keyAt : undefined) ?? node.at;
  if (error.keyword === "uniqueItems") {
    const { i, j } = error.params as { i: number; j: number };
    const twice = findNode(root, [...path, String(Math.max(i, j))]);
    return {
      at: twice.node.at,
      message: `${label} names ${describeValue(twice.node)} twice`,
      details: usedAs(twice),
    };
  }
  return {
    at,
    message: `${label} is ${describeValue(node)}, expected ${describeShape(shape)}`,
    details: [...hints(node, shape, label), ...usedAs(place)],
  };
}

/** `loss_norm_type`, or `tasks[0]` for an item of a list. */
export function labelOf(path: KeyPath): string {
  const key = path.at(-1);
  if (key === undefined) return "the recipe";
  return /^\d+$/.test(key) ? `${path.at(-2)}[${key}]` : key;
}

/** What a value is, in words. */
export function describeValue(node: SourceNode): string {
  if (node.type === "list") return node.items.length === 0 ? "an empty list" : "a list";
  if (node.type === "map") return node.entries.size === 0 ? "an empty map" : "a map";
  if (node.value === null) return "empty";
  if (node.value === "") return "an empty text";
  const text = JSON.stringify(node.value);
  return text.length > 60 ? `${text.slice(0, 59)}…` : text;
}

function hints(node: SourceNode, shape: Shape, label: string): string[] {
  const value = node.type === "scalar" ? node.value : undefined;
  if (shape.type === "map" || shape.type === "partial" || shape.type === "variants") {
    if (value === null && !hasRequiredKey(shape)) return [`for its defaults write "${label}: {}"`];
    return [`with keys: ${Object.keys(fieldsOf(shape, node)).sort().join(", ")}`];
  }
  if (shape.type === "either") {
    return hints(node, node.type === "list" ? shape.list : shape.single, label);
  }
  if (shape.type === "choice" && typeof value === "string") {
    const suggestion = nearest(value, shape.values);
    return suggestion === undefined ? [] : [`did you mean ${JSON.stringify(suggestion)}?`];
  }
  if ((shape.type === "number" || shape.type === "integer") && typeof value === "string") {
    const digits = value.replaceAll("_", "").trim();
    const isNumber = digits !== "" && Number.isFinite(Number(digits));
    return isNumber ? [`it is a text: write ${digits}, without quotes and underscores`] : [];
  }
  if (shape.type === "boolean" && typeof value === "string") {
    if (/^(true|yes|on)$/i.test(value)) return ["write true"];
    if (/^(false|no|off)$/i.test(value)) return ["write false"];
  }
  if (shape.type === "string" && (typeof value === "number" || typeof value === "boolean")) {
    return [`write it in quotes: ${JSON.stringify(asWritten(node, value))}`];
  }
  if (shape.type === "list" && shape.item.type === "choice" && typeof value === "string") {
    return shape.item.values.includes(value) ? [`write [${value}]`] : [];
  }
  return [];
}

/** A number as its text says it: `1e5`, not 100000. */
function asWritten({ at, via }: SourceNode, value: number | boolean): string {
  const text = at.origin.lines[at.line - 1]?.slice(at.column - 1, at.column - 1 + at.length) ?? "";
  return via === undefined && at.origin.kind === "file" && Number(text) === value
    ? text
    : String(value);
}

function fieldsAt(root: SourceNode, path: KeyPath): Fields {
  const found = shapeAt(root, path);
  if (found === undefined) throw new TypeError(`fieldsAt: there is no ${path.join(".")}`);
  return fieldsOf(found.shape, findNode(root, path).node);
}

function isModelConfig(section: KeyPath): boolean {
  return section.join(".") === "model.config";
}

/** The model families whose config has a key of this name. */
function familiesWith(key: string): ModelFamily[] {
  return modelFamilyNames.filter((family) => Object.hasOwn(modelConfigFields[family], key));
}

/** The sections that have a key of this name. */
function sectionsWith(key: string): string[] {
  const found: string[] = [];
  const visit = (fields: Fields, path: KeyPath) => {
    for (const [name, { shape }] of Object.entries(fields) as [string, Field][]) {
      if (name === key) found.push(path.length === 0 ? "the top level" : path.join("."));
      if (shape.type === "map") visit(shape.fields, [...path, name]);
    }
  };
  visit(recipeFields, []);
  return found;
}
