/** @file Writes what a JSON Schema repeats once, under `definitions`. */
import type { Json, JsonObject } from "../base/json.js";

/** Keywords whose value is a schema, or a list of schemas. */
const SCHEMA_KEYWORDS = ["if", "then", "else", "items", "anyOf"] as const;
/** Keywords whose value maps names to schemas. */
const MAP_KEYWORDS = ["properties", "patternProperties"] as const;

/**
 * Returns an equal schema in which subschemas that occur more than once, and whose text has more
 * than `length` characters, are references to `definitions`, named after a key that has them.
 */
export function shareDefinitions(schema: JsonObject, length: number): JsonObject {
  const repeated = new Set<string>();
  const seen = new Set<string>();
  visitSchemas(schema, (each) => {
    const text = JSON.stringify(each);
    if (seen.has(text)) repeated.add(text);
    else seen.add(text);
    // What is within a repeated schema is repeated with it.
    return !repeated.has(text);
  });

  const definitions: Record<string, Json> = {};
  const names = new Map<string, string>();
  const replace = (each: JsonObject, key: string): JsonObject => {
    const text = JSON.stringify(each);
    if (text.length <= length || !repeated.has(text)) return mapSchemas(each, key, replace);
    let name = names.get(text);
    if (name === undefined) {
      name = key;
      for (let i = 2; Object.hasOwn(definitions, name); i++) name = `${key}-${i}`;
      names.set(text, name);
      definitions[name] = true; // reserves the name
      definitions[name] = mapSchemas(each, key, replace);
    }
    return { $ref: `#/definitions/${name}` };
  };
  return { ...mapSchemas(schema, "recipe", replace), definitions };
}

function isJsonObject(value: Json | undefined): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Visits a schema and those within it, unless `visit` says no. */
function visitSchemas(schema: JsonObject, visit: (each: JsonObject) => boolean): void {
  mapSchemas(schema, "", (each) => {
    if (visit(each)) visitSchemas(each, visit);
    return each;
  });
}

/** Returns a schema with its direct subschemas replaced; `key` is the property they are of. */
function mapSchemas(
  schema: JsonObject,
  key: string,
  replace: (each: JsonObject, key: string) => JsonObject,
): JsonObject {
  const result: Record<string, Json> = { ...schema };
  const replaceOne = (value: Json, name: string): Json =>
    isJsonObject(value) ? replace(value, name) : value;
  for (const keyword of SCHEMA_KEYWORDS) {
    const value = schema[keyword];
    if (value === undefined) continue;
    result[keyword] = Array.isArray(value)
      ? value.map((each: Json) => replaceOne(each, key))
      : replaceOne(value, key);
  }
  for (const keyword of MAP_KEYWORDS) {
    const value = schema[keyword];
    if (!isJsonObject(value)) continue;
    result[keyword] = Object.fromEntries(
      Object.entries(value).map(([name, each]) => [
        name,
        replaceOne(each, keyword === "properties" ? name : key),
      ]),
    );
  }
  return result;
}
