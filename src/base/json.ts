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
  if (value === null || typeof value === "boolean" || typeof value === "string") {
    return JSON.stringify(value);
  }
  if (typeof value === "number") {
    if (!Number.isFinite(value)) throw new TypeError(`canonicalJson: ${path} is ${value}`);
    return JSON.stringify(value);
  }
  if (Array.isArray(value)) {
    return `[${value.map((item, i) => canonicalJson(item, `${path}[${i}]`)).join(",")}]`;
  }
  if (typeof value === "object") {
    const fields = canonicalEntries(value, path).map(
      ([key, item]) => `${JSON.stringify(key)}:${canonicalJson(item, `${path}.${key}`)}`,
    );
    return `{${fields.join(",")}}`;
  }
  throw new TypeError(`canonicalJson: ${path} is ${typeof value}`);
}

/**
 * Returns the entries of a plain object in canonical order.
 * @throws TypeError for an instance of a class
 */
export function canonicalEntries(value: object, path: string): [key: string, item: unknown][] {
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype !== Object.prototype && prototype !== null) {
    throw new TypeError(`canonicalJson: ${path} is an instance of a class`);
  }
  // Without a comparison of its own, sort() compares code units.
  return Object.keys(value)
    .sort()
    .map((key) => [key, (value as Readonly<Record<string, unknown>>)[key]]);
}
