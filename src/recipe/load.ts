/** @file Recipe files to frozen recipes. */
import type { Recipe } from "./schema.js";

export interface LoadedRecipe {
  /** Deep frozen, defaults filled in. */
  readonly recipe: Recipe;
  /** The file as it was given. */
  readonly file: string;
  /** Absolute directory of the file: relative paths in the recipe start here. */
  readonly directory: string;
  readonly text: string;
  /**
   * Where a value was written: `file:line:column`, or the `--set` that wrote it; for a default,
   * where the closest enclosing section was.
   */
  position(keyPath: string): string;
  /** Whether the recipe or a `--set` wrote this key itself. */
  isWritten(keyPath: string): boolean;
}
