/** @file Bounds of a YAML text, checked before anything recursive sees it. */
import { Lexer } from "yaml";
import type { Issue } from "./issues.js";
import type { Origin } from "./source-tree.js";

const LINE_LIMIT = 20_000;
const DEPTH_LIMIT = 64;
const ALIAS_LIMIT = 100;

/**
 * Returns the first bound that a text exceeds. Parser and composer of `yaml` are recursive, its
 * lexer is not: the depth is measured on the very tokens that the parser would see.
 */
export function findExcess(text: string, origin: Origin): Issue | undefined {
  const issueAt = (line: number, column: number, message: string, ...details: string[]): Issue => ({
    at: { origin, line, column, length: 1 },
    message,
    details,
  });
  if (origin.lines.length > LINE_LIMIT) {
    return issueAt(LINE_LIMIT + 1, 1, `the recipe has more than ${LINE_LIMIT} lines`);
  }
  const nul = origin.lines.findIndex((line) => line.includes("\0"));
  if (nul !== -1) {
    const column = origin.lines[nul]!.indexOf("\0") + 1;
    return issueAt(
      nul + 1,
      column,
      "the text contains a NUL character",
      "if this is a text at all, it is UTF-16: save the file as UTF-8",
    );
  }

  let line = 1;
  let column = 1;
  let flowDepth = 0;
  let aliases = 0;
  // Columns at which the open block collections began.
  const blocks: number[] = [];
  for (const token of new Lexer().lex(text)) {
    const first = token[0]!;
    // The lexer's own marks (document, scalar, flow error) have no width in the text.
    if (first === "\u0002" || first === "\u001f" || first === "\u0018") continue;
    if (first === "[" || first === "{") flowDepth++;
    else if (first === "]" || first === "}") flowDepth = Math.max(0, flowDepth - 1);
    else if (first === "&" || first === "*") aliases++;
    if (flowDepth === 0 && !/^[\s#,]/.test(token) && token !== ":") {
      while (blocks.length > 0 && blocks.at(-1)! >= column) blocks.pop();
      blocks.push(column);
    }
    if (flowDepth > DEPTH_LIMIT || blocks.length > DEPTH_LIMIT) {
      return issueAt(line, column, `values are nested more than ${DEPTH_LIMIT} deep`);
    }
    if (aliases > ALIAS_LIMIT) {
      return issueAt(line, column, `the recipe has more than ${ALIAS_LIMIT} anchors and aliases`);
    }
    const newlines = token.split("\n").length - 1;
    line += newlines;
    column = newlines === 0 ? column + token.length : token.length - token.lastIndexOf("\n");
  }
  return undefined;
}
