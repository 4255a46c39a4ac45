/**
 * @file JSON values and their canonical text: keys sorted by code unit, no white space,
 * so that equal values have equal bytes and equal hashes.
 */

export type Json = null | boolean | number | string | readonly Json[] | JsonObject;
export interface JsonObject {
  readonly [key: string]: Json;
}

/**
 * Returns the canonical JSON text of a value.
 * @throws TypeError for undefined, functions, NaN, infinities, dates and class instances:
 * what cannot be written deterministically must not reach a fingerprint.
 */
export function canonicalJson(value: unknown, path = "$"): string {
  if (typeof value === "string") return JSON.stringify(value);
  if (value === null || typeof value === "boolean") return String(value);
  if (typeof value === "number") {
    if (!Number.isFinite(value)) throw new TypeError(`canonicalJson: ${path} is ${value}`);
    return String(value);
  }
  if (Array.isArray(value)) {
    return `[${value.map((item, i) => canonicalJson(item, `${path}[${i}]`)).join(",")}]`;
  }
  if (typeof value === "object") {
    const fields = canonicalKeys(value, path).map(({ key, quoted }) => {
      const item = (value as Readonly<Record<string, unknown>>)[key];
      return `${quoted}:${canonicalJson(item, `${path}.${key}`)}`;
    });
    return `{${fields.join(",")}}`;
  }
  throw new TypeError(`canonicalJson: ${path} is ${typeof value}`);
}

export interface CanonicalKey {
  key: string;
  /** As JSON text. */
  quoted: string;
}

/** By path, the keys of the last object there: thousands of trials have the same ones. */
const lastKeys = new Map<string, { keys: readonly string[]; canonical: readonly CanonicalKey[] }>();
const PATHS = 1000;

/**
 * Returns the keys of a plain object in canonical order.
 * @throws TypeError for an instance of a class
 */
export function canonicalKeys(value: object, path: string): readonly CanonicalKey[] {
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype !== Object.prototype && prototype !== null) {
    throw new TypeError(`canonicalJson: ${path} is an instance of a class`);
  }
  const keys = Object.keys(value);
  const last = lastKeys.get(path);
  if (last?.keys.length === keys.length && keys.every((key, i) => key === last.keys[i])) {
    return last.canonical;
  }
  // Without a comparison of its own, sort() compares code units.
  const sorted = [...keys].sort();
  const canonical = sorted.map((key) => ({ key, quoted: JSON.stringify(key) }));
  if (lastKeys.size === PATHS) lastKeys.clear();
  lastKeys.set(path, { keys, canonical });
  return canonical;
}
