/** @file The JSON Schema (draft-07, as editors read it best) of a description in schema.ts. */
import type { Json, JsonObject } from "../base/json.js";
import { modelFamilyNames, type ModelFamily } from "../base/model-config.js";
import type { Field, Fields, Shape } from "./fields.js";
import { DEFAULT_FAMILY, modelConfigFields, modelFields, presetsOf } from "./model-fields.js";
import { recipeFields } from "./schema.js";
import { allVariantFields, partialFields, tagField, type VariantsShape } from "./shapes.js";

/** The file that editors are pointed to, relative to the repository. */
export const SCHEMA_FILE = "schemas/recipe.schema.json";

const PARTIAL = "partial";

/** Returns the JSON Schema of recipes. */
export function recipeJsonSchema(): JsonObject {
  const whole = mapSchema(recipeFields);
  const properties = whole["properties"] as JsonObject;
  return {
    $schema: "http://json-schema.org/draft-07/schema#",
    title: "dllm recipe",
    description: "An experiment with a masked-diffusion language model.",
    ...whole,
    properties: { ...properties, model: modelSchema(properties["model"] as JsonObject) },
    definitions: { [PARTIAL]: partialSchema({ type: "map", fields: partialFields }) },
  };
}

/**
 * The keys of `model.config` follow from the family, and editors offer only those: `config` has
 * none in its own right, but in the branch of the family that the section names.
 */
function modelSchema(model: JsonObject): JsonObject {
  const { config, ...others } = model["properties"] as Readonly<Record<string, JsonObject>>;
  // Where the family is not known, all keys are.
  let branches: JsonObject = { properties: { config: shapeSchema(modelFields.config.shape) } };
  for (const family of [...modelFamilyNames].reverse()) {
    branches = {
      if: isOfFamily(family),
      then: { properties: { config: mapSchema(modelConfigFields[family]) } },
      else: branches,
    };
  }
  const { description } = config!;
  return {
    ...model,
    properties: { ...others, config: { description: description!, type: "object" } },
    ...branches,
  };
}

/** Whether a `model` section says, or by silence means, this family. `false` is for absent keys. */
function isOfFamily(family: ModelFamily): JsonObject {
  const byPreset = { required: ["preset"], properties: { preset: { enum: presetsOf(family) } } };
  const byName = {
    required: ["family"],
    properties: { family: { const: family }, preset: false },
  };
  const bySilence = { properties: { name_or_path: false, preset: false, family: false } };
  return { anyOf: [byPreset, byName, ...(family === DEFAULT_FAMILY ? [bySilence] : [])] };
}

/** Returns the text of schemas/recipe.schema.json. */
export function recipeJsonSchemaText(): string {
  return `${JSON.stringify(recipeJsonSchema(), null, 2)}\n`;
}

/** How the values of a map are written down: as they are, or as parts of a recipe. */
type Writer = (shape: Shape) => JsonObject;

function mapSchema(fields: Fields, write: Writer = shapeSchema): JsonObject {
  const entries = Object.entries(fields);
  const required = entries
    .filter(([, { presence }]) => presence === "required")
    .map(([key]) => key);
  return {
    type: "object",
    properties: Object.fromEntries(entries.map(([key, field]) => [key, fieldSchema(field, write)])),
    ...(required.length > 0 && write === shapeSchema && { required }),
    additionalProperties: false,
  };
}

function fieldSchema(field: Field, write: Writer): JsonObject {
  const { shape, doc, presence, defaultValue } = field;
  const filled = shape.type === "map" ? {} : (defaultValue as Json);
  return {
    description: doc,
    ...write(shape),
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
    case "scalar":
      return { type: ["string", "number", "boolean"] };
    case "any":
      return {};
    case "choice":
      return { type: "string", enum: shape.values };
    case "list":
      return {
        type: "array",
        items: shapeSchema(shape.item),
        minItems: 1,
        ...(shape.item.type !== "map" && shape.item.type !== "any" && { uniqueItems: true }),
      };
    case "either":
      return {
        if: { type: "array" },
        then: shapeSchema(shape.list),
        else: shapeSchema(shape.single),
      };
    case "record":
      return recordSchema(shape, shapeSchema);
    case "partial":
      return { $ref: `#/definitions/${PARTIAL}` };
    case "map":
      return mapSchema(shape.fields);
    case "variants":
      return variantsSchema(shape);
  }
}

function recordSchema(shape: Shape & { type: "record" }, write: Writer): JsonObject {
  return {
    type: "object",
    minProperties: 1,
    patternProperties: { [shape.key.pattern]: write(shape.value) },
    additionalProperties: false,
  };
}

/** The keys of a map follow from its tag; without a usable one, those of all variants are known. */
function variantsSchema(shape: VariantsShape): JsonObject {
  const { tag, variants } = shape;
  const tagSchema = fieldSchema(tagField(shape), shapeSchema);
  // Without a tag it is reported missing; what else is missing is not known then.
  let branches: JsonObject = {
    ...mapSchema({ ...allVariantFields(variants), [tag]: tagField(shape) }, shapeSchema),
    required: [tag],
  };
  for (const [name, fields] of Object.entries(variants).reverse()) {
    const whole = mapSchema(fields);
    const properties = { [tag]: tagSchema, ...(whole["properties"] as JsonObject) };
    branches = {
      if: { type: "object", required: [tag], properties: { [tag]: { const: name } } },
      then: { ...whole, properties },
      else: branches,
    };
  }
  return branches;
}

/** A part of a recipe: no key is required, and null stands for "not here". */
function partialSchema(shape: Shape): JsonObject {
  return { if: { type: "null" }, else: partialValue(shape) };
}

function partialValue(shape: Shape): JsonObject {
  switch (shape.type) {
    case "map":
      return mapSchema(shape.fields, partialSchema);
    case "record":
      return recordSchema(shape, partialSchema);
    case "variants":
      return mapSchema(
        { ...allVariantFields(shape.variants), [shape.tag]: tagField(shape) },
        partialSchema,
      );
    default:
      return shapeSchema(shape);
  }
}
