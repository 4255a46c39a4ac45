/** @file Problems of a recipe: collected, put in file order, shown with the line they are on. */
import { DllmError, ExitCode } from "../base/errors.js";
import { formatPosition, type Position } from "./source-tree.js";

export interface Issue {
  readonly at: Position;
  /** What was found and, where it fits in the line, what was expected. */
  readonly message: string;
  /** Expected values, nearest key, what to do. */
  readonly details: readonly string[];
}

const SHOWN_LIMIT = 20;
const FRAME_WIDTH = 100;
/** From this length on, a word may be the beginning of the one that was meant. */
const SHORTEST_STEM = 4;

/** One or more problems of a recipe; prints each with position, code frame and hints. */
export class RecipeError extends DllmError {
  override readonly name = "RecipeError";
  readonly issues: readonly Issue[];
  readonly #label: string;

  constructor(
    label: string,
    issues: readonly Issue[],
    { exitCode = ExitCode.invalidInput, cause }: { exitCode?: ExitCode; cause?: unknown } = {},
  ) {
    const ordered = inFileOrder(issues);
    const first = ordered[0];
    if (first === undefined) throw new TypeError("RecipeError: there is no issue");
    super(`${formatPosition(first.at)}: ${printable(first.message)}`, { exitCode, cause });
    this.#label = label;
    this.issues = ordered;
  }

  override format(): string {
    const shown = this.issues.slice(0, SHOWN_LIMIT).map(formatIssue);
    if (this.issues.length === 1) return shown.join("\n");
    const hidden = this.issues.length - shown.length;
    const more = hidden > 0 ? ` (the first ${SHOWN_LIMIT} are shown)` : "";
    return [...shown, `${this.issues.length} problems in ${this.#label}${more}`].join("\n");
  }
}

/** Returns the text of an issue: position and message, the line with a marker, the details. */
export function formatIssue({ at, message, details }: Issue): string {
  return [
    `${formatPosition(at)}: ${printable(message)}`,
    ...[...codeFrame(at), ...details.flatMap((detail) => wrap(printable(detail)))].map(
      (line) => `  ${line}`,
    ),
  ].join("\n");
}

function inFileOrder(issues: readonly Issue[]): Issue[] {
  return [...issues].sort(
    ({ at: a }, { at: b }) =>
      a.origin.order - b.origin.order || a.line - b.line || a.column - b.column,
  );
}

function codeFrame({ origin, line, column, length }: Position): string[] {
  const text = origin.lines[line - 1];
  if (origin.kind === "override" || text === undefined || text.trim() === "") return [];
  // A long line is cut to a window around the column.
  const start = column <= FRAME_WIDTH - 20 ? 0 : column - Math.floor(FRAME_WIDTH / 2);
  const window = printable(text.slice(start, start + FRAME_WIDTH));
  const offset = column - 1 - start;
  const marker = "^".repeat(Math.max(1, Math.min(length, window.length - offset)));
  const gutter = String(line);
  return [
    `${gutter} | ${window.trimEnd()}`,
    `${" ".repeat(gutter.length)} | ${" ".repeat(offset)}${marker}`,
  ];
}

/** Text that may be hostile: control and invisible formatting characters become spaces. */
function printable(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}\u2028\u2029]/gu, " ");
}

function wrap(text: string): string[] {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(" ")) {
    if (line !== "" && line.length + word.length + 1 > FRAME_WIDTH - 4) {
      lines.push(line);
      line = `  ${word}`;
    } else {
      line = line === "" ? word : `${line} ${word}`;
    }
  }
  return [...lines, line];
}

/** Returns the candidate that a word was most probably meant to be, if one is close enough. */
export function nearest(word: string, candidates: readonly string[]): string | undefined {
  // Any character is one replacement away from any other.
  const limit = word.length === 1 ? 0 : Math.max(1, Math.min(3, Math.floor(word.length / 3)));
  let best: string | undefined;
  let bestDistance = limit + 1;
  for (const candidate of candidates) {
    if (Math.abs(candidate.length - word.length) > limit) continue;
    const distance = editDistance(fold(word), fold(candidate));
    if (distance < bestDistance) {
      best = candidate;
      bestDistance = distance;
    }
  }
  if (bestDistance <= 1 || word.length < SHORTEST_STEM) return best;
  return candidates.find((candidate) => fold(candidate).startsWith(fold(word))) ?? best;
}

/** `learningRate`, `Learning-Rate` and `learning_rate` are one word in different spellings. */
function fold(word: string): string {
  return word.toLowerCase().replace(/[-_ ]/g, "");
}

/** Insertions, deletions, replacements and swaps of neighbours between two words. */
export function editDistance(a: string, b: string): number {
  let beforePrevious: number[] = [];
  let previous = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const current = [i];
    for (let j = 1; j <= b.length; j++) {
      const replaced = previous[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1);
      let distance = Math.min(previous[j]! + 1, current[j - 1]! + 1, replaced);
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) {
        distance = Math.min(distance, beforePrevious[j - 2]! + 1);
      }
      current.push(distance);
    }
    beforePrevious = previous;
    previous = current;
  }
  return previous[b.length]!;
}

/** `"a"`, `"a" or "b"`, `"a", "b" or "c"`. */
export function alternatives(words: readonly string[]): string {
  const quoted = words.map((word) => JSON.stringify(word));
  const last = quoted.pop() ?? "";
  return quoted.length === 0 ? last : `${quoted.join(", ")} or ${last}`;
}
