/**
 * @file Ajv's code for the schema of a recipe, as the text of a module: made once for all recipes
 * and all commands, none of which then needs Ajv itself.
 */
import { Ajv } from "ajv";
import standaloneCode from "ajv/dist/standalone/index.js";
import { composedJsonSchema } from "./json-schema.js";

export { VALIDATOR_FILE } from "./validate.js";

/** Returns the text of schemas/recipe.validator.cjs. */
export function validatorCode(): string {
  const ajv = new Ajv({
    allErrors: true,
    strict: true,
    // validate.ts has its own words.
    messages: false,
    // What the schema shares stays shared in the code.
    inlineRefs: false,
    // Otherwise the code needs a module to count characters, where all that is asked is "any?".
    unicode: false,
    // Says that this is deprecated.
    logger: false,
    code: { source: true },
  });
  const validate = ajv.compile(composedJsonSchema());
  // CommonJS by default import: its types say otherwise.
  const write = standaloneCode as unknown as { default: typeof standaloneCode.default };
  const notice = "// Made by `npm run schema` from src/recipe/schema.ts.\n";
  return `${notice}${write.default(ajv, validate)}\n`;
}
