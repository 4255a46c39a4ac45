/** @file `dllm ls [directory]` lists the recipes below a directory with what each is for. */
import { existsSync } from "node:fs";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { DllmError, ExitCode, errorCode, errorMessage } from "../base/errors.js";
import { sanitize } from "../base/sanitize.js";
import { shellQuote } from "../base/shell-text.js";
import { parseRecipeFile } from "../recipe/layers.js";
import { readRecipeText } from "../recipe/recipe-text.js";
import { findNode, type MapNode } from "../recipe/source-tree.js";
import type { LsCommand } from "./command.js";

const RECIPES = "recipes";

export const run: LsCommand = async ([directory = RECIPES], { json }, io) => {
  const found = await recipesBelow(directory);
  for (const { file, problem } of found) {
    if (problem !== undefined) io.err(sanitize(`warning: ${file} ${problem}`));
  }
  // A file without a name is a part that recipes extend.
  const recipes = found.filter(({ name }) => name !== undefined);
  if (json) {
    io.out(JSON.stringify(recipes, null, 2));
    return ExitCode.ok;
  }
  const width = Math.max(...recipes.map(({ file }) => file.length));
  for (const { file, description = "", profiles } of recipes) {
    io.out(oneLine(`${file.padEnd(width)}  ${description}`));
    if (profiles.length > 0) {
      io.out(oneLine(`${" ".repeat(width)}  profiles: ${profiles.join(", ")}`));
    }
  }
  if (recipes.length === 0) io.err(`there is no recipe below ${directory}`);
  return ExitCode.ok;
};

/** A recipe may come from anywhere, and its description have any number of lines. */
function oneLine(text: string): string {
  return sanitize(text)
    .replace(/\s*\n\s*/g, " ")
    .trimEnd();
}

export interface ListedRecipe {
  file: string;
  name?: string;
  description?: string;
  profiles: readonly string[];
  /** Why it cannot be read: what follows its name in a sentence. */
  problem?: string;
}

/** Returns the YAML files below a directory in alphabetical order. @throws DllmError 66 */
export async function recipesBelow(directory: string): Promise<ListedRecipe[]> {
  try {
    const found = await listedIn(directory);
    return found.sort((a, b) => (a.file < b.file ? -1 : 1));
  } catch (cause) {
    if (errorCode(cause) === undefined) throw cause;
    throw unlistable(directory, cause);
  }
}

async function listedIn(directory: string): Promise<ListedRecipe[]> {
  const entries = await readdir(directory, { withFileTypes: true });
  const listed = await Promise.all(
    entries.map(async (entry) => {
      const path = join(directory, entry.name);
      if (entry.isDirectory()) return listedBelow(path);
      const isFile = entry.isFile() || entry.isSymbolicLink();
      return isFile && /\.ya?ml$/.test(entry.name) ? [await describe(path)] : [];
    }),
  );
  return listed.flat();
}

/** One directory that cannot be read must not hide what is in the others. */
async function listedBelow(directory: string): Promise<ListedRecipe[]> {
  try {
    return await listedIn(directory);
  } catch (error) {
    if (errorCode(error) === undefined) throw error;
    return [{ file: directory, profiles: [], problem: `is left out: ${errorMessage(error)}` }];
  }
}

function unlistable(directory: string, cause: unknown): DllmError {
  if (errorCode(cause) === "ENOTDIR" && existsSync(directory)) {
    return new DllmError(`${directory} is no directory`, {
      exitCode: ExitCode.notFound,
      details: [`to check one recipe: dllm validate ${shellQuote(directory)}`],
      cause,
    });
  }
  if (errorCode(cause) === "ENOENT" || errorCode(cause) === "ENOTDIR") {
    return new DllmError(`there is no directory ${directory}`, {
      exitCode: ExitCode.notFound,
      details: ["dllm ls lists the recipes below a directory, by default recipes/"],
      cause,
    });
  }
  return new DllmError(`cannot list ${directory}: ${errorMessage(cause)}`, {
    exitCode: ExitCode.ioError,
    cause,
  });
}

async function describe(file: string): Promise<ListedRecipe> {
  try {
    const { root } = parseRecipeFile(await readRecipeText(file), file);
    const profiles = findNode(root, ["profiles"]);
    return {
      file,
      ...textAt(root, "name"),
      ...textAt(root, "description"),
      profiles:
        profiles.exact && profiles.node.type === "map" ? [...profiles.node.entries.keys()] : [],
    };
  } catch (error) {
    if (!(error instanceof DllmError)) throw error;
    return { file, profiles: [], problem: `is no recipe: ${error.message}` };
  }
}

function textAt(root: MapNode, key: "name" | "description"): Partial<ListedRecipe> {
  const { node, exact } = findNode(root, [key]);
  return exact && node.type === "scalar" && typeof node.value === "string"
    ? { [key]: node.value }
    : {};
}
