/** @file `dllm validate <recipe>` checks a recipe without looking at anything it names. */
import { ExitCode } from "../base/errors.js";
import { RecipeError } from "../recipe/issues.js";
import { formatPosition } from "../recipe/source-tree.js";
import { parseDatasets } from "../stages/pins.js";
import type { ValidateCommand } from "./command.js";
import { loadWithOptions } from "./recipe-plan.js";

export const run: ValidateCommand = async ([recipe, overrides], options, io) => {
  const { json } = options;
  try {
    const loaded = await loadWithOptions(recipe, overrides, options);
    parseDatasets(loaded);
    io.out(json ? JSON.stringify({ valid: true, issues: [] }) : `${recipe} is valid`);
    return ExitCode.ok;
  } catch (error) {
    if (!json || !(error instanceof RecipeError)) throw error;
    const issues = error.issues.map(({ at, message, details }) => ({
      position: formatPosition(at),
      line: at.line,
      column: at.column,
      message,
      details,
    }));
    io.out(JSON.stringify({ valid: false, issues }));
    return error.exitCode;
  }
};
