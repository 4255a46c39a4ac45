/** @file The JSON Schema (draft-07, as editors read it best) of a description in schema.ts. */
import type { JsonObject } from "../base/json.js";
import type { Field, Fields, Shape } from "./fields.js";
import { recipeFields } from "./schema.js";

/** The file that editors are pointed to, relative to the repository. */
export const SCHEMA_FILE = "schemas/recipe.schema.json";

/** Returns the JSON Schema of recipes. */
export function recipeJsonSchema(): JsonObject {
  return {
    $schema: "http://json-schema.org/draft-07/schema#",
    title: "dllm recipe",
    description: "An experiment with a masked-diffusion language model.",
    ...mapSchema(recipeFields),
  };
}

/** Returns the text of schemas/recipe.schema.json. */
export function recipeJsonSchemaText(): string {
  return `${JSON.stringify(recipeJsonSchema(), null, 2)}\n`;
}

function mapSchema(fields: Fields): JsonObject {
  const entries = Object.entries(fields);
  const required = entries
    .filter(([, { presence }]) => presence === "required")
    .map(([key]) => key);
  return {
    type: "object",
    properties: Object.fromEntries(entries.map(([key, field]) => [key, fieldSchema(field)])),
    ...(required.length > 0 && { required }),
    additionalProperties: false,
  };
}

function fieldSchema(field: Field): JsonObject {
  const { shape, doc, presence, defaultValue } = field;
  const filled = shape.type === "map" ? {} : (defaultValue as JsonObject[string]);
  return {
    description: doc,
    ...shapeSchema(shape),
    ...(presence === "defaulted" && { default: filled }),
  };
}

function shapeSchema(shape: Shape): JsonObject {
  switch (shape.type) {
    case "string":
      return {
        type: "string",
        minLength: 1,
        ...(shape.pattern !== undefined && { pattern: shape.pattern }),
      };
    case "number":
    case "integer": {
      const { type, ...bounds } = shape;
      return { type, ...bounds };
    }
    case "boolean":
      return { type: "boolean" };
    case "choice":
      return { type: "string", enum: shape.values };
    case "list":
      return { type: "array", items: shapeSchema(shape.item), minItems: 1, uniqueItems: true };
    case "map":
      return mapSchema(shape.fields);
  }
}
