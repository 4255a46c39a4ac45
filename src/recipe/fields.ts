/**
 * @file The language in which schema.ts describes recipe keys: each field has a shape, a one-line
 * doc and a presence. TypeScript types, the JSON Schema, defaults and diagnostics follow from it.
 */

import type { Json, JsonObject } from "../base/json.js";

/** `required` must be written, `defaulted` is filled in, `optional` may stay absent. */
export type Presence = "required" | "defaulted" | "optional";

export interface NumberBounds {
  minimum?: number;
  maximum?: number;
  exclusiveMinimum?: number;
  exclusiveMaximum?: number;
}

export type Shape =
  | { readonly type: "string"; readonly pattern?: string; readonly patternHint?: string }
  | ({ readonly type: "number" | "integer" } & Readonly<NumberBounds>)
  | { readonly type: "boolean" }
  | { readonly type: "choice"; readonly values: readonly string[] }
  /** Anything at all: what it means is known only elsewhere. */
  | { readonly type: "any" }
  | { readonly type: "list"; readonly item: Shape }
  | { readonly type: "map"; readonly fields: Fields }
  /** Keys of the writer's choice, all with values of one shape. */
  | { readonly type: "record"; readonly value: Shape; readonly key: KeyRule }
  /** A map whose keys depend on the word at `tag`. */
  | { readonly type: "variants"; readonly tag: string; readonly variants: Variants }
  /** A part of the whole recipe: nothing is required, and null removes what it is laid over. */
  | { readonly type: "partial" }
  /** A single value, or a list. */
  | { readonly type: "either"; readonly single: Shape; readonly list: Shape };

/** What keys of a record look like: as a pattern, and in words. */
export interface KeyRule {
  readonly pattern: string;
  readonly patternHint: string;
}

export type Variants = Readonly<Record<string, Fields>>;

export interface Field<Value = unknown, P extends Presence = Presence> {
  readonly shape: Shape;
  readonly doc: string;
  readonly presence: P;
  /** Only with presence `defaulted`. For a map, `{}`: its own fields' defaults apply. */
  readonly defaultValue?: Value;
  /** Never set: carries the value's type. */
  readonly valueType?: Value;
}

export type Fields = Readonly<Record<string, Field>>;

type ValueOf<F> = F extends Field<infer Value> ? Value : never;
type OptionalKeys<F extends Fields> = {
  [Key in keyof F]: F[Key] extends Field<unknown, "optional"> ? Key : never;
}[keyof F];

/** The type of a map with these fields after defaults are filled in. */
export type Resolved<F extends Fields> = {
  readonly [Key in Exclude<keyof F, OptionalKeys<F>>]: ValueOf<F[Key]>;
} & {
  readonly [Key in OptionalKeys<F>]?: ValueOf<F[Key]>;
} extends infer Both
  ? { [Key in keyof Both]: Both[Key] }
  : never;

type Required<Value> = Field<Value, "required">;

/** Text of at least one character; `patternHint` says in words what `pattern` demands. */
export function text(
  doc: string,
  rule?: { pattern: string; patternHint: string },
): Required<string> {
  return { shape: { type: "string", ...rule }, doc, presence: "required" };
}

export function number(doc: string, bounds: NumberBounds = {}): Required<number> {
  return { shape: { type: "number", ...bounds }, doc, presence: "required" };
}

export function integer(doc: string, bounds: NumberBounds = {}): Required<number> {
  return { shape: { type: "integer", ...bounds }, doc, presence: "required" };
}

export function flag(doc: string): Required<boolean> {
  return { shape: { type: "boolean" }, doc, presence: "required" };
}

/** One of a few words. */
export function choice<const Value extends string>(
  doc: string,
  values: readonly Value[],
): Required<Value> {
  return { shape: { type: "choice", values }, doc, presence: "required" };
}

/** A list of at least one item, without repeats. */
export function list<Item>(doc: string, item: Required<Item>): Required<readonly Item[]> {
  return { shape: { type: "list", item: item.shape }, doc, presence: "required" };
}

export function map<const F extends Fields>(doc: string, fields: F): Required<Resolved<F>> {
  return { shape: { type: "map", fields }, doc, presence: "required" };
}

/** A map with keys of the writer's choice, at least one. */
export function record<Value>(
  doc: string,
  key: KeyRule,
  value: Required<Value>,
): Required<Readonly<Record<string, Value>>> {
  return { shape: { type: "record", key, value: value.shape }, doc, presence: "required" };
}

/** A map whose other keys depend on which of the variants its `tag` names. */
export function variants<const Tag extends string, const V extends Variants>(
  doc: string,
  tag: Tag,
  kinds: V,
): Required<VariantOf<Tag, V>> {
  return { shape: { type: "variants", tag, variants: kinds }, doc, presence: "required" };
}

type VariantOf<Tag extends string, V extends Variants> = {
  [Kind in keyof V]: Readonly<Record<Tag, Kind>> & Resolved<V[Kind]>;
}[keyof V];

/** A single value, or a list of at least one. */
export function either<Single, Item>(
  doc: string,
  single: Required<Single>,
  items: Required<readonly Item[]>,
): Required<Single | readonly Item[]> {
  return {
    shape: { type: "either", single: single.shape, list: items.shape },
    doc,
    presence: "required",
  };
}

/** A part of a recipe, of the same keys. */
export function partial(doc: string): Required<JsonObject> {
  return { shape: { type: "partial" }, doc, presence: "required" };
}

/** Any value. */
export function anything(doc: string): Required<Json> {
  return { shape: { type: "any" }, doc, presence: "required" };
}

export function optional<Value>(field: Required<Value>): Field<Value, "optional"> {
  return { ...field, presence: "optional" };
}

export function withDefault<Value>(
  defaultValue: Value,
  field: Required<Value>,
): Field<Value, "defaulted"> {
  return { ...field, presence: "defaulted", defaultValue };
}

/** A map that is always there: absent, it consists of its fields' defaults. */
export function section<const F extends Fields>(
  doc: string,
  fields: F,
): Field<Resolved<F>, "defaulted"> {
  return { shape: { type: "map", fields }, doc, presence: "defaulted" };
}
