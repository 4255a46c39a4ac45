/** @file Parts of the JSON Schema of recipes. */
import type { JsonObject } from "../../src/base/json.js";
import { recipeJsonSchema } from "../../src/recipe/json-schema.js";

const whole = recipeJsonSchema();

/**
 * Returns the schema that a recipe which extends nothing has at a key path; where keys follow from
 * a word, that of the recipe without the word.
 */
export function schemaAt(keyPath: string): JsonObject {
  let found = whole["else"] as JsonObject;
  for (const key of keyPath.split(".")) {
    const { properties } = ownSchema(found);
    const next = (properties as JsonObject | undefined)?.[key];
    if (next === undefined) throw new Error(`${keyPath}: no schema of ${key}`);
    found = next as JsonObject;
  }
  return { ...followed(found), definitions: whole["definitions"]! };
}

function followed(schema: JsonObject): JsonObject {
  const reference = schema["$ref"] as string | undefined;
  if (reference === undefined) return schema;
  const name = reference.replace("#/definitions/", "");
  return (whole["definitions"] as JsonObject)[name] as JsonObject;
}

/** Follows references and branches to the schema that lists properties. */
function ownSchema(schema: JsonObject): JsonObject {
  if (schema["properties"] !== undefined) return schema;
  return ownSchema(
    schema["$ref"] === undefined ? (schema["else"] as JsonObject) : followed(schema),
  );
}
