/** @file Fills in defaults; leaves out what the schema rejected. */
import { noMemo, type Memo } from "../base/memo.js";
import type { DependentDefaults } from "./dependent-defaults.js";
import type { Fields, Shape } from "./fields.js";
import { recipeFields, type Recipe } from "./schema.js";
import { fieldsOf } from "./shapes.js";
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
  /** Of trees with the same dependent defaults and nothing invalid: what they share, shared. */
  memo?: Memo;
  /** The closest enclosing map whose keys depend on a word, and that word. */
  variant?: { path: KeyPath; name: string };
}

function fillMap(
  fields: Fields,
  node: SourceNode | undefined,
  path: KeyPath,
  context: FillContext,
): Record<string, unknown> {
  const filled: Record<string, unknown> = {};
  const section = [...sectionPath(path, context), ""].join(".");
  for (const [key, field] of Object.entries(fields)) {
    const fieldPath = [...path, key];
    const written = node?.type === "map" ? node.entries.get(key)?.value : undefined;
    if (written !== undefined && isInvalid(fieldPath, context.invalid)) continue;
    const dependent = context.dependent.get(section + key);
    if (written !== undefined) {
      filled[key] = fillValue(field.shape, written, fieldPath, context);
    } else if (field.shape.type === "map") {
      const isThere = field.presence === "defaulted" || dependent !== undefined;
      if (isThere) filled[key] = fillSection(field.shape.fields, undefined, fieldPath, context);
    } else if (dependent !== undefined) {
      filled[key] = dependent.value;
    } else if (field.presence === "defaulted") {
      filled[key] = field.defaultValue;
    }
  }
  return filled;
}

function fillSection(
  fields: Fields,
  node: SourceNode | undefined,
  path: KeyPath,
  context: FillContext,
): Record<string, unknown> {
  const { memo = noMemo, variant } = context;
  return memo(path.join("."), [node, variant?.name], () => fillMap(fields, node, path, context));
}

/** The value of a written node, with the defaults of what it leaves out. */
function fillValue(shape: Shape, node: SourceNode, path: KeyPath, context: FillContext): unknown {
  switch (shape.type) {
    case "map":
      return fillSection(shape.fields, node, path, context);
    case "variants": {
      const fields = fieldsOf(shape, node);
      const kind = node.type === "map" ? node.entries.get(shape.tag)?.value : undefined;
      const name = kind?.type === "scalar" ? String(kind.value) : "";
      // A stage of kind sft has the defaults of the section `sft`.
      return fillSection(fields, node, path, { ...context, variant: { path, name } });
    }
    case "record": {
      if (node.type !== "map") return plainValue(node);
      const filled: Record<string, unknown> = {};
      for (const [key, { value }] of node.entries) {
        const below = [...path, key];
        if (isInvalid(below, context.invalid)) continue;
        filled[key] = fillValue(shape.value, value, below, context);
      }
      return filled;
    }
    case "list": {
      const { item } = shape;
      if (node.type !== "list" || item.type !== "map") return plainValue(node);
      return node.items.map((each, index) =>
        fillValue(item, each, [...path, String(index)], context),
      );
    }
    case "either":
      return fillValue(node.type === "list" ? shape.list : shape.single, node, path, context);
    default:
      return plainValue(node);
  }
}

/** The path that the defaults of a key are found under: within a variant, that of its name. */
function sectionPath(path: KeyPath, { variant }: FillContext): KeyPath {
  if (variant === undefined) return path;
  return [variant.name, ...path.slice(variant.path.length)];
}

/** A list is invalid with any of its items. */
function isInvalid(path: KeyPath, invalid: ReadonlySet<string>): boolean {
  if (invalid.size === 0) return false;
  const joined = path.join(".");
  if (invalid.has(joined)) return true;
  const isItem = (other: string) =>
    other.startsWith(`${joined}.`) && /^\d+(\.|$)/.test(other.slice(joined.length + 1));
  return [...invalid].some(isItem);
}
