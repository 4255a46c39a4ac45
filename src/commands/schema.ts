/**
 * @file `dllm schema` prints the JSON Schema of recipes; `--write` writes it for editors, and the
 * code that checks recipes against it.
 */
import { fileURLToPath } from "node:url";
import { ExitCode } from "../base/errors.js";
import { writeUserFile } from "../base/fs.js";
import { recipeJsonSchemaText, SCHEMA_FILE } from "../recipe/json-schema.js";
import type { SchemaCommand } from "./command.js";

export const run: SchemaCommand = async (_, { write }, io) => {
  const text = recipeJsonSchemaText();
  if (!write) {
    io.write(text);
    return ExitCode.ok;
  }
  const { validatorCode, VALIDATOR_FILE } = await import("../recipe/validator-code.js");
  const files = { [SCHEMA_FILE]: text, [VALIDATOR_FILE]: validatorCode() };
  for (const [name, content] of Object.entries(files)) {
    const file = fileURLToPath(new URL(`../../${name}`, import.meta.url));
    await writeUserFile(file, content);
    io.err(`wrote ${file}`);
  }
  return ExitCode.ok;
};
