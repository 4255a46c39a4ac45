/**
 * @file YAML text to a tree of values with positions. A recipe may come from anywhere: it is
 * bounded in size, lines, depth, aliases and nodes before anything recursive sees it.
 */
import { LineCounter, parseDocument } from "yaml";
import { RecipeError, type Issue } from "./issues.js";
import { makeOrigin } from "./source-tree.js";
import type { Origin, Position, SourceNode } from "./source-tree.js";
import { findExcess } from "./yaml-bounds.js";
import { buildTree } from "./yaml-tree.js";

const ONE_DOCUMENT = "a recipe is one document: remove the line, or make two files of it";
const QUOTED_VARIABLE = 'within […] and {…} a variable is written in quotes: "${name}"';

export interface ParsedYaml {
  readonly origin: Origin;
  /** Undefined for a text without any value. */
  readonly root: SourceNode | undefined;
  /** Problems that leave the tree usable: duplicate keys, tags, numbers out of range. */
  readonly issues: readonly Issue[];
  /** How many values it has, those of aliases wherever they are. */
  readonly size: number;
}

/**
 * Returns the tree of a YAML 1.2 text.
 * @throws RecipeError when it is no YAML, or beyond the bounds.
 */
export function parseYaml(
  text: string,
  source: { kind: Origin["kind"]; label: string; order: number },
): ParsedYaml {
  const origin = makeOrigin(source.kind, source.label, text, source.order);
  const bound = findExcess(text, origin);
  if (bound !== undefined) throw new RecipeError(origin.label, [bound]);

  const lineCounter = new LineCounter();
  const document = parseDocument(text, {
    version: "1.2",
    schema: "core",
    merge: false,
    uniqueKeys: false,
    strict: true,
    stringKeys: true,
    prettyErrors: false,
    lineCounter,
  });
  const at = (start: number, end: number) => positionOf(origin, lineCounter, start, end);
  const problems = [...document.errors, ...document.warnings];
  if (problems.length > 0) {
    const issues = problems.map(({ code, pos, message }) => {
      const position = at(pos[0], pos[1]);
      const line = origin.lines[position.line - 1] ?? "";
      const details = /[[{,:]\s*\$\{/.test(line) ? [QUOTED_VARIABLE] : [];
      // The parser speaks to whoever called it.
      const isSecond = code === "MULTIPLE_DOCS";
      const problem = isSecond ? "a second document begins here" : `not valid YAML: ${message}`;
      return { at: position, message: problem, details: isSecond ? [ONE_DOCUMENT] : details };
    });
    throw new RecipeError(origin.label, onePerLine(issues));
  }
  if (document.contents === null) return { origin, root: undefined, issues: [], size: 0 };
  return { origin, ...buildTree(document, document.contents, origin, at) };
}

function positionOf(
  origin: Origin,
  lineCounter: LineCounter,
  start: number,
  end: number,
): Position {
  const { line, col } = lineCounter.linePos(start);
  const onLine = (origin.lines[line - 1]?.length ?? 0) - (col - 1);
  return { origin, line, column: col, length: Math.max(1, Math.min(end - start, onLine)) };
}

/** A syntax error causes others on its line: the first says it best. */
function onePerLine(issues: readonly Issue[]): Issue[] {
  const seen = new Set<number>();
  return issues.filter(({ at }) => !seen.has(at.line) && seen.add(at.line));
}
