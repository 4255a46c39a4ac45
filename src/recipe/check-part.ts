/** @file Parts of recipes: files without a name, which recipes extend. */
import { RecipeError } from "./issues.js";
import { readLayers, type ReadText } from "./layers.js";
import { validateTree } from "./validate.js";
import { replaceVariables } from "./variables.js";

/**
 * Returns whether a file is a part whose keys are valid; false for a whole recipe. What a part
 * leaves out, variables among it, is written by the recipes that extend it.
 * @throws RecipeError with every problem of a part; DllmError when the file cannot be read
 */
export async function isValidPart(file: string, read?: ReadText): Promise<boolean> {
  const { root, issues } = await readLayers(file, read);
  if (root.entries.size === 0 || root.entries.has("name")) return false;
  // Values that an unknown variable stands for are left out.
  const replaced = replaceVariables(root, {});
  const problems = [...issues, ...validateTree(replaced.root, { isPart: true }).issues];
  if (problems.length > 0) throw new RecipeError(file, problems);
  return true;
}
