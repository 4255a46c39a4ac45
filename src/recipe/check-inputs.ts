/** @file What the rules between keys look at, and how they report what is wrong. */
import type { DeepPartial } from "./defaults.js";
import type { Recipe } from "./schema.js";
import { formatPosition, type Position } from "./source-tree.js";

/** Reports a problem of the value at a key path (or of its closest written section). */
export type Report = (keyPath: string, message: string, ...details: string[]) => void;

/** Who wrote a value. */
export interface Writer {
  at: Position;
  /** The profile that it is part of. */
  profile?: string;
}

export interface CheckInputs {
  /** What the schema accepted. */
  recipe: DeepPartial<Recipe>;
  /** Whether a key was written, even with an invalid value. */
  isWritten: (keyPath: string) => boolean;
  /** Who wrote a key (or its closest written section). */
  writerOf: (keyPath: string) => Writer;
  report: Report;
}

/**
 * Reports that two keys are written that exclude each other: in one layer at the first, otherwise
 * at the one that is laid over the other, with how to remove what is beneath.
 */
export function reportClash(
  { report, writerOf }: CheckInputs,
  [first, second]: readonly [string, string],
  message: string,
  ...details: string[]
): void {
  const difference = heightOf(writerOf(first)) - heightOf(writerOf(second));
  if (difference === 0) return report(first, message, "remove one of the two", ...details);
  const [above, below] = difference > 0 ? [first, second] : [second, first];
  const name = below.slice(below.lastIndexOf(".") + 1);
  const isOverride = writerOf(above).at.origin.kind === "override";
  const removal = isOverride ? `add --set ${below}=null` : `write "${name}: null" beside it`;
  const inherited = formatPosition(writerOf(below).at);
  report(above, message, `${name} comes from ${inherited}: to remove it ${removal}`, ...details);
}

/** Above the files that a recipe extends is the recipe, then its profiles, then `--set`. */
function heightOf({ at: { origin }, profile }: Writer): number {
  if (origin.kind === "override") return 2;
  return profile === undefined ? -origin.order : 1;
}
