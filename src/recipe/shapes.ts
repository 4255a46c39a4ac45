/** @file Which shape of the schema a value of a recipe must have, and how to say that in words. */
import type { Field, Fields, Shape } from "./fields.js";
import { alternatives } from "./issues.js";
import { recipeFields } from "./schema.js";
import type { KeyPath, SourceNode } from "./source-tree.js";

/** Keys that say how a recipe is put together: they mean nothing in a part of one. */
const COMPOSITION_KEYS: ReadonlySet<string> = new Set(["extends", "profiles", "name"]);

/** The keys that a part of a recipe, such as a profile, may have. */
export const partialFields: Fields = Object.fromEntries(
  Object.entries(recipeFields).filter(([key]) => !COMPOSITION_KEYS.has(key)),
);

export interface ShapeAt {
  shape: Shape;
  /** Whether the value is within a part of a recipe, where nothing is required. */
  inPartial: boolean;
}

/**
 * Returns the shape of the value at a path of a recipe's tree; undefined where the schema knows
 * no such path.
 */
export function shapeAt(root: SourceNode, path: KeyPath): ShapeAt | undefined {
  let found: ShapeAt = { shape: { type: "map", fields: recipeFields }, inPartial: false };
  let node: SourceNode | undefined = root;
  for (const key of path) {
    const next = shapeBelow(found.shape, node, key);
    if (next === undefined) return undefined;
    found = { shape: next, inPartial: found.inPartial || next.type === "partial" };
    node = childOf(node, key);
  }
  return found;
}

function childOf(node: SourceNode | undefined, key: string): SourceNode | undefined {
  if (node?.type === "map") return node.entries.get(key)?.value;
  return node?.type === "list" ? node.items[Number(key)] : undefined;
}

function shapeBelow(shape: Shape, node: SourceNode | undefined, key: string): Shape | undefined {
  switch (shape.type) {
    case "map":
    case "partial":
    case "variants":
      return fieldsOf(shape, node)[key]?.shape;
    case "record":
      return shape.value;
    case "list":
      return shape.item;
    case "either":
      return shapeBelow(node?.type === "list" ? shape.list : shape.single, node, key);
    case "any":
      return shape;
    default:
      return undefined;
  }
}

/** Returns the keys that a map of this shape may have; those of `variants` depend on its value. */
export function fieldsOf(shape: Shape, node: SourceNode | undefined): Fields {
  switch (shape.type) {
    case "map":
      return shape.fields;
    case "partial":
      return partialFields;
    case "variants":
      return { [shape.tag]: tagField(shape), ...variantFields(shape, node) };
    default:
      return {};
  }
}

export type VariantsShape = Shape & { type: "variants" };

/** The key that says which variant a map is. */
export function tagField({ variants }: VariantsShape): Field {
  const values = Object.keys(variants);
  const doc = `What it is: ${values.slice(0, -1).join(", ")} or ${values.at(-1)}.`;
  return { shape: { type: "choice", values }, doc, presence: "required" };
}

/** The keys of the variant that a value names; of all variants where it names none. */
function variantFields({ tag, variants }: VariantsShape, node: SourceNode | undefined): Fields {
  const written = node?.type === "map" ? node.entries.get(tag)?.value : undefined;
  const name = written?.type === "scalar" ? String(written.value) : "";
  return Object.hasOwn(variants, name) ? variants[name]! : allVariantFields(variants);
}

/** The keys of all variants together; what is a list in one of them and none in another is both. */
export function allVariantFields(variants: VariantsShape["variants"]): Fields {
  const all: Record<string, Field> = {};
  for (const [key, field] of Object.values(variants).flatMap(Object.entries<Field>)) {
    const { shape } = field;
    const other = all[key]?.shape;
    if (other === undefined) all[key] = field;
    else if (other.type !== "list" && shape.type === "list") {
      all[key] = { ...field, shape: { type: "either", single: other, list: shape } };
    }
  }
  return all;
}

/** Returns what a value of this shape looks like, in words. */
export function describeShape(shape: Shape): string {
  switch (shape.type) {
    case "string":
      return shape.patternHint ?? "a text that is not empty";
    case "number":
    case "integer":
      return describeNumber(shape);
    case "boolean":
      return "true or false";
    case "any":
      return "a value";
    case "choice":
      return alternatives(shape.values);
    case "list":
      return `a list of at least one of ${describeShape(shape.item)}`;
    case "either":
      return `${describeShape(shape.single)} or ${describeShape(shape.list)}`;
    case "record":
      return `a map with at least one key (${shape.key.patternHint})`;
    case "map":
    case "partial":
    case "variants":
      return "a map";
  }
}

function describeNumber(shape: NumberShape): string {
  const { minimum, maximum, exclusiveMinimum, exclusiveMaximum } = shape;
  const bounds: string[] = [];
  if (minimum !== undefined) bounds.push(`at least ${minimum}`);
  if (exclusiveMinimum !== undefined) bounds.push(`above ${exclusiveMinimum}`);
  if (maximum !== undefined) bounds.push(`at most ${maximum}`);
  if (exclusiveMaximum !== undefined) bounds.push(`below ${exclusiveMaximum}`);
  return [shape.type === "integer" ? "an integer" : "a number", bounds.join(" and ")]
    .filter((part) => part !== "")
    .join(" ");
}

type NumberShape = Shape & { type: "number" | "integer" };

/** Whether a key of this shape accepts a number; none where there is no such key. */
export function acceptsNumber(shape: Shape | undefined, number: number): boolean {
  if (shape?.type !== "number" && shape?.type !== "integer") return false;
  return (
    (shape.type === "number" || Number.isInteger(number)) &&
    number >= (shape.minimum ?? -Infinity) &&
    number <= (shape.maximum ?? Infinity) &&
    number > (shape.exclusiveMinimum ?? -Infinity) &&
    number < (shape.exclusiveMaximum ?? Infinity)
  );
}

/** Whether a map of this shape has a key that must be written. */
export function hasRequiredKey(shape: Shape): boolean {
  if (shape.type === "record" || shape.type === "variants") return true;
  return (
    shape.type === "map" &&
    Object.values(shape.fields).some(({ presence }) => presence === "required")
  );
}
