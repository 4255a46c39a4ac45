/** @file `dllm validate <recipe>...` checks recipes without looking at anything they name. */
import { DllmError, ExitCode } from "../base/errors.js";
import { sanitize } from "../base/sanitize.js";
import { isValidPart } from "../recipe/check-part.js";
import { RecipeError } from "../recipe/issues.js";
import { formatPosition } from "../recipe/source-tree.js";
import { parseDatasets } from "../stages/pins.js";
import type { CommandIo, JsonOptions, RecipeOptions, ValidateCommand } from "./command.js";
import { loadWithOptions } from "./recipe-plan.js";

export const run: ValidateCommand = async ([recipe, rest], options, io) => {
  const files = [recipe, ...rest.filter((arg) => !arg.includes("="))];
  const overrides = rest.filter((arg) => arg.includes("="));
  let exitCode: ExitCode = ExitCode.ok;
  for (const file of files) {
    try {
      const isPart = await validate(file, overrides, options);
      io.out(
        options.json ? JSON.stringify({ file, valid: true, issues: [] }) : verdict(file, isPart),
      );
    } catch (error) {
      if (!(error instanceof DllmError)) throw error;
      // One file's problems are the command's own; several files' are shown one after the other.
      const isShown = (options.json && error instanceof RecipeError) || files.length > 1;
      if (!isShown) throw error;
      show(file, error, options, io);
      if (exitCode === ExitCode.ok) exitCode = error.exitCode;
    }
  }
  return exitCode;
};

/** Returns whether the file is a part. @throws RecipeError, DllmError */
async function validate(
  file: string,
  overrides: readonly string[],
  options: RecipeOptions,
): Promise<boolean> {
  const isAlone = overrides.length + options.set.length + options.profile.length === 0;
  if (isAlone && (await isValidPart(file))) return true;
  parseDatasets(await loadWithOptions(file, overrides, options));
  return false;
}

function verdict(file: string, isPart: boolean): string {
  return isPart
    ? `${file} is a part (it has no name): its keys are valid, the rest is checked with the recipes that extend it`
    : `${file} is valid`;
}

function show(file: string, error: DllmError, { json }: JsonOptions, io: CommandIo): void {
  if (!json || !(error instanceof RecipeError)) {
    io.err(sanitize(`error: ${error.format()}`));
    return;
  }
  const issues = error.issues.map(({ at, message, details }) => ({
    position: formatPosition(at),
    line: at.line,
    column: at.column,
    message,
    details,
  }));
  io.out(JSON.stringify({ file, valid: false, issues }));
}
