/** @file Fills in defaults; leaves out what the schema rejected. */
import { noMemo, type Memo } from "../base/memo.js";
import type { DependentDefaults } from "./dependent-defaults.js";
import type { Field, Fields, Shape } from "./fields.js";
import { recipeFields, type Recipe } from "./schema.js";
import { fieldsOf } from "./shapes.js";
import type { MapNode, SourceNode } from "./source-tree.js";
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
  return fillMap(recipeFields, root, ROOT, context) as DeepPartial<Recipe>;
}

/** Returns some of the sections that `fillDefaults` does. */
export function fillSections(
  root: MapNode,
  keys: Iterable<string>,
  context: FillContext,
): Readonly<Record<string, unknown>> {
  const fields: Record<string, Field> = {};
  for (const key of keys) fields[key] = (recipeFields as Fields)[key]!;
  return fillMap(fields, root, ROOT, context);
}

interface FillContext {
  /** Key paths of values that are unusable. */
  invalid: ReadonlySet<string>;
  /** They come before the schema's defaults. */
  dependent: DependentDefaults;
  /** Of trees with the same dependent defaults and nothing invalid: what they share, shared. */
  memo?: Memo;
}

/** Where a map is, as what its key paths begin with: `sft.`, or nothing at the root. */
interface Place {
  path: string;
  /**
   * What its defaults are found under: of a map whose keys depend on a word, that word. A stage of
   * kind sft has the defaults of the section `sft`.
   */
  section: string;
}

const ROOT: Place = { path: "", section: "" };

function below({ path, section }: Place, key: string): Place {
  return { path: `${path}${key}.`, section: `${section}${key}.` };
}

function fillMap(
  fields: Fields,
  node: SourceNode | undefined,
  place: Place,
  context: FillContext,
): Record<string, unknown> {
  const filled: Record<string, unknown> = {};
  const { path, section } = place;
  for (const key of Object.keys(fields)) {
    const { shape, presence, defaultValue } = fields[key]!;
    const written = node?.type === "map" ? node.entries.get(key)?.value : undefined;
    if (written !== undefined) {
      if (isInvalid(path + key, context.invalid)) continue;
      filled[key] = fillValue(shape, written, below(place, key), context);
      continue;
    }
    const dependent = context.dependent.get(section + key);
    if (shape.type === "map") {
      const isThere = presence === "defaulted" || dependent !== undefined;
      if (isThere) filled[key] = fillSection(shape.fields, undefined, below(place, key), context);
    } else if (dependent !== undefined) {
      filled[key] = dependent.value;
    } else if (presence === "defaulted") {
      filled[key] = defaultValue;
    }
  }
  return filled;
}

function fillSection(
  fields: Fields,
  node: SourceNode | undefined,
  place: Place,
  context: FillContext,
): Record<string, unknown> {
  const { memo = noMemo } = context;
  return memo(place.path, [node, place.section], () => fillMap(fields, node, place, context));
}

/** The value of a written node, with the defaults of what it leaves out. */
function fillValue(shape: Shape, node: SourceNode, place: Place, context: FillContext): unknown {
  switch (shape.type) {
    case "map":
      return fillSection(shape.fields, node, place, context);
    case "variants": {
      const fields = fieldsOf(shape, node);
      const kind = node.type === "map" ? node.entries.get(shape.tag)?.value : undefined;
      const section = kind?.type === "scalar" ? `${String(kind.value)}.` : ".";
      return fillSection(fields, node, { ...place, section }, context);
    }
    case "record": {
      if (node.type !== "map") return plainValue(node);
      const filled: Record<string, unknown> = {};
      for (const [key, { value }] of node.entries) {
        if (isInvalid(place.path + key, context.invalid)) continue;
        filled[key] = fillValue(shape.value, value, below(place, key), context);
      }
      return filled;
    }
    case "list": {
      const { item } = shape;
      if (node.type !== "list" || item.type !== "map") return plainValue(node);
      return node.items.map((each, index) =>
        fillValue(item, each, below(place, String(index)), context),
      );
    }
    case "either":
      return fillValue(node.type === "list" ? shape.list : shape.single, node, place, context);
    default:
      return plainValue(node);
  }
}

/** A list is invalid with any of its items. */
function isInvalid(path: string, invalid: ReadonlySet<string>): boolean {
  if (invalid.size === 0) return false;
  if (invalid.has(path)) return true;
  const isItem = (other: string) =>
    other.startsWith(`${path}.`) && /^\d+(\.|$)/.test(other.slice(path.length + 1));
  return [...invalid].some(isItem);
}
