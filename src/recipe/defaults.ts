/** @file Fills in defaults; leaves out what the schema rejected. */
import type { DependentDefaults } from "./dependent-defaults.js";
import type { Fields } from "./fields.js";
import { recipeFields, type Recipe } from "./schema.js";
import type { KeyPath, SourceNode } from "./source-tree.js";
import { plainValue } from "./source-tree.js";

export type DeepPartial<Value> = Value extends readonly unknown[]
  ? Value
  : Value extends object
    ? { readonly [Key in keyof Value]?: DeepPartial<Value[Key]> | undefined }
    : Value;

/**
 * Returns the recipe of a tree with defaults filled in: all of it when nothing is invalid,
 * otherwise what is left after unknown keys and invalid values are dropped.
 */
export function fillDefaults(
  root: SourceNode | undefined,
  context: FillContext,
): DeepPartial<Recipe> {
  return fillMap(recipeFields, root, [], context) as DeepPartial<Recipe>;
}

interface FillContext {
  /** Key paths of values that are unusable. */
  invalid: ReadonlySet<string>;
  /** They come before the schema's defaults. */
  dependent: DependentDefaults;
}

function fillMap(
  fields: Fields,
  node: SourceNode | undefined,
  path: KeyPath,
  context: FillContext,
): Record<string, unknown> {
  const filled: Record<string, unknown> = {};
  for (const [key, field] of Object.entries(fields)) {
    const fieldPath = [...path, key];
    const written = node?.type === "map" ? node.entries.get(key)?.value : undefined;
    if (written !== undefined && isInvalid(fieldPath, context.invalid)) continue;
    const dependent = context.dependent.get(fieldPath.join("."));
    if (field.shape.type === "map") {
      const isThere = written !== undefined || field.presence === "defaulted";
      if (!isThere && dependent === undefined) continue;
      filled[key] = fillMap(field.shape.fields, written, fieldPath, context);
    } else if (written !== undefined) {
      filled[key] = plainValue(written);
    } else if (dependent !== undefined) {
      filled[key] = dependent.value;
    } else if (field.presence === "defaulted") {
      filled[key] = field.defaultValue;
    }
  }
  return filled;
}

/** A list is invalid with any of its items. */
function isInvalid(path: KeyPath, invalid: ReadonlySet<string>): boolean {
  const joined = path.join(".");
  if (invalid.has(joined)) return true;
  const itemPrefix = new RegExp(`^${joined.replaceAll(".", "\\.")}\\.\\d+$`);
  return [...invalid].some((other) => itemPrefix.test(other));
}

/** Freezes a value and everything in it. */
export function deepFreeze<Value>(value: Value): Value {
  if (typeof value === "object" && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value);
    for (const item of Object.values(value)) deepFreeze(item);
  }
  return value;
}
