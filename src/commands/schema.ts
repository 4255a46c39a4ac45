/** @file `dllm schema` prints the JSON Schema of recipes, or writes it for editors. */
import { fileURLToPath } from "node:url";
import { ExitCode } from "../base/errors.js";
import { writeFileAtomic } from "../base/fs.js";
import { recipeJsonSchemaText, SCHEMA_FILE } from "../recipe/json-schema.js";
import type { SchemaCommand } from "./command.js";

export const run: SchemaCommand = async (_, { write }, io) => {
  const text = recipeJsonSchemaText();
  if (!write) {
    io.write(text);
    return ExitCode.ok;
  }
  const file = fileURLToPath(new URL(`../../${SCHEMA_FILE}`, import.meta.url));
  await writeFileAtomic(file, text);
  io.err(`wrote ${file}`);
  return ExitCode.ok;
};
