/**
 * @file The JSON Schemas (draft-07, as editors read it best) that follow from schema.ts: of recipe
 * files as they are written, for editors, and of recipes put together, for the loader.
 */
import type { Json, JsonObject } from "../base/json.js";
import { modelFamilyNames, type ModelFamily } from "../base/model-config.js";
import type { Field, Fields, Shape } from "./fields.js";
import { DEFAULT_FAMILY, modelConfigFields, modelFields, presetsOf } from "./model-fields.js";
import { recipeFields } from "./schema.js";
import { shareDefinitions } from "./share-definitions.js";
import { allVariantFields, partialFields, tagField, type VariantsShape } from "./shapes.js";

/** The file that editors are pointed to, relative to the repository. */
export const SCHEMA_FILE = "schemas/recipe.schema.json";

/** What a schema is of. */
interface Form {
  /** A part of a recipe: no key is required, and null removes what is beneath it. */
  readonly isPart: boolean;
  /** As it is written: variables may stand for values. Otherwise they have been replaced. */
  readonly isWritten: boolean;
}

/** From so many characters on, what an editor's schema repeats is written once. */
const LONG = 200;

/** Returns the JSON Schema of recipe files: one that extends others is a part of a recipe. */
export function recipeJsonSchema(): JsonObject {
  const schema = {
    title: "dllm recipe",
    description: "An experiment with a masked-diffusion language model.",
    type: "object",
    if: { type: "object", required: ["extends"], properties: { extends: true } },
    then: mapSchema(recipeFields, { isPart: true, isWritten: true }),
    else: mapSchema(recipeFields, { isPart: false, isWritten: true }),
  };
  return { $schema: "http://json-schema.org/draft-07/schema#", ...shareDefinitions(schema, LONG) };
}

/** Returns the text of schemas/recipe.schema.json. */
export function recipeJsonSchemaText(): string {
  return `${JSON.stringify(recipeJsonSchema(), null, 2)}\n`;
}

/** Returns the JSON Schema of a recipe with all its layers in place and its variables replaced. */
export function composedJsonSchema(): JsonObject {
  return shareDefinitions(mapSchema(recipeFields, { isPart: false, isWritten: false }), 0);
}

function mapSchema(fields: Fields, form: Form): JsonObject {
  const entries = Object.entries(fields);
  const required = entries
    .filter(([, { presence }]) => presence === "required" && !form.isPart)
    .map(([key]) => key);
  return {
    type: "object",
    properties: Object.fromEntries(entries.map(([key, field]) => [key, fieldSchema(field, form)])),
    ...(required.length > 0 && { required }),
    additionalProperties: false,
  };
}

function fieldSchema({ shape, doc, presence, defaultValue }: Field, form: Form): JsonObject {
  const value = valueSchema(shape, form);
  if (!form.isWritten) return value;
  const filled = shape.type === "map" ? {} : (defaultValue as Json);
  return { description: doc, ...value, ...(presence === "defaulted" && { default: filled }) };
}

/** YAML 1.2 takes an integer such as 200_000 for a text. */
const GROUPED_INTEGER = "^-?\\d+(_\\d+)+$";
const VARIABLE = "\\$\\{";

/** The schema of a value, or of what may stand for it. */
function valueSchema(shape: Shape, form: Form): JsonObject {
  const own = shapeSchema(shape, form);
  const standIns: JsonObject[] = form.isPart ? [{ type: "null" }] : [];
  const isNumber = shape.type === "number" || shape.type === "integer";
  if (form.isWritten && !acceptsAnyText(shape)) {
    const pattern = isNumber ? `${GROUPED_INTEGER}|${VARIABLE}` : VARIABLE;
    standIns.push({ type: "string", pattern });
  }
  if (standIns.length === 0 || shape.type === "any") return own;
  // Editors offer the words of an `anyOf`, and the keys of an `else`. The loader has no use for the
  // problems of all alternatives.
  const isSingle = isNumber || ["string", "boolean", "choice"].includes(shape.type);
  return isSingle && form.isWritten
    ? { anyOf: [own, ...standIns] }
    : { if: standIns.length === 1 ? standIns[0]! : { anyOf: standIns }, else: own };
}

function acceptsAnyText(shape: Shape): boolean {
  if (shape.type === "either") return acceptsAnyText(shape.single);
  return shape.type === "any" || (shape.type === "string" && shape.pattern === undefined);
}

function shapeSchema(shape: Shape, form: Form): JsonObject {
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
    case "any":
      return {};
    case "choice":
      return { type: "string", enum: shape.values };
    case "list":
      return {
        type: "array",
        // An item is there or not: a list replaces what it is laid over.
        items: valueSchema(shape.item, { ...form, isPart: false }),
        minItems: 1,
        ...(shape.item.type !== "map" && shape.item.type !== "any" && { uniqueItems: true }),
      };
    case "either":
      return {
        if: { type: "array" },
        then: shapeSchema(shape.list, form),
        else: shapeSchema(shape.single, form),
      };
    case "record":
      return {
        type: "object",
        minProperties: 1,
        patternProperties: { [shape.key.pattern]: valueSchema(shape.value, form) },
        additionalProperties: false,
      };
    case "partial":
      return mapSchema(partialFields, { ...form, isPart: true });
    case "map":
      return shape.fields === modelFields && !form.isPart
        ? modelSchema(form)
        : mapSchema(shape.fields, form);
    case "variants":
      return variantsSchema(shape, form);
  }
}

/**
 * The keys of `model.config` follow from the family: the section is one map for each, and one of
 * all keys where the family is not known.
 */
function modelSchema(form: Form): JsonObject {
  let branches = mapSchema(modelFields, form);
  for (const family of [...modelFamilyNames].reverse()) {
    const config = { ...modelFields.config, shape: configShape(family) };
    const whole = mapSchema({ ...modelFields, config }, form);
    branches = { if: isOfFamily(family), then: whole, else: branches };
  }
  return branches;
}

function configShape(family: ModelFamily): Shape {
  return { type: "map", fields: modelConfigFields[family] };
}

/** Whether a `model` section says, or by silence means, this family. `false` is for absent keys. */
function isOfFamily(family: ModelFamily): JsonObject {
  const byPreset = { required: ["preset"], properties: { preset: { enum: presetsOf(family) } } };
  const byName = {
    required: ["family"],
    properties: { family: { const: family }, preset: false },
  };
  const bySilence = { properties: { name_or_path: false, preset: false, family: false } };
  const anyOf = [byPreset, byName, ...(family === DEFAULT_FAMILY ? [bySilence] : [])];
  return { type: "object", anyOf };
}

/** The keys of a map follow from its tag; without a usable one, those of all variants are known. */
function variantsSchema(shape: VariantsShape, form: Form): JsonObject {
  const { tag, variants } = shape;
  const all = mapSchema({ ...allVariantFields(variants), [tag]: tagField(shape) }, form);
  if (form.isPart) return all;
  // Without a tag it is reported missing; what else is missing is not known then.
  let branches: JsonObject = { ...all, required: [tag] };
  for (const [name, fields] of Object.entries(variants).reverse()) {
    branches = {
      if: { type: "object", required: [tag], properties: { [tag]: { const: name } } },
      then: mapSchema({ [tag]: tagField(shape), ...fields }, form),
      else: branches,
    };
  }
  return branches;
}
