/** @file What the rules between keys look at, and how they report what is wrong. */
import type { DeepPartial } from "./defaults.js";
import type { Recipe } from "./schema.js";

/** Reports a problem of the value at a key path (or of its closest written section). */
export type Report = (keyPath: string, message: string, ...details: string[]) => void;

export interface CheckInputs {
  /** What the schema accepted. */
  recipe: DeepPartial<Recipe>;
  /** Whether a key was written, even with an invalid value. */
  isWritten: (keyPath: string) => boolean;
  report: Report;
}
