/**
 * @file YAML text to a tree of values with positions. A recipe may come from anywhere: it is
 * bounded in size, lines, depth, aliases and nodes before anything recursive sees it.
 */
import { isUtf8 } from "node:buffer";
import { constants } from "node:fs";
import { open } from "node:fs/promises";
import { isAlias, isMap, isScalar, isSeq, Lexer, LineCounter, parseDocument } from "yaml";
import type { Alias, Document, Node, ParsedNode, Pair, Scalar as YamlScalar } from "yaml";
import { DllmError, ExitCode, errorCode, errorMessage } from "../base/errors.js";
import { shellQuote } from "../base/shell-text.js";
import { RecipeError, type Issue } from "./issues.js";
import { formatPosition } from "./source-tree.js";
import type { MapEntry, Origin, Position, Scalar, SourceNode } from "./source-tree.js";
import { makeOrigin } from "./source-tree.js";

export const SIZE_LIMIT_BYTES = 128 * 1024;
const LINE_LIMIT = 20_000;
const DEPTH_LIMIT = 64;
const ALIAS_LIMIT = 100;
export const NODE_LIMIT = 50_000;

const ONE_DOCUMENT = "a recipe is one document: remove the line, or make two files of it";
const QUOTED_VARIABLE = 'within […] and {…} a variable is written in quotes: "${name}"';

/** Keys that would change an object's prototype where code is careless with plain objects. */
const FORBIDDEN_KEYS: ReadonlySet<string> = new Set(["__proto__", "constructor", "prototype"]);

/**
 * Returns the text of a recipe file, at most 128 KiB of UTF-8.
 * @throws DllmError 66 when there is none, 77 when it may not be read, 65 when it is no text file.
 */
export async function readRecipeText(file: string): Promise<string> {
  const bytes = await readBounded(file);
  if (!isUtf8(bytes)) {
    const line = firstLineNotUtf8(bytes);
    throw new DllmError(`${file}:${line}:1: the line is not valid UTF-8`, {
      exitCode: ExitCode.invalidInput,
      details: ["save the file as UTF-8"],
    });
  }
  return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
}

async function readBounded(file: string): Promise<Buffer> {
  if (file === "") {
    throw new DllmError("the name of the recipe is empty, expected a file", {
      exitCode: ExitCode.usage,
      details: ["a shell variable without a value becomes an empty name"],
    });
  }
  try {
    // Non-blocking, or opening a FIFO would wait for its writer.
    const handle = await open(file, constants.O_RDONLY | constants.O_NONBLOCK);
    try {
      const stats = await handle.stat();
      if (stats.isDirectory()) {
        throw invalidFile(file, "is a directory, expected a file", [
          `dllm ls ${shellQuote(file)} lists the recipes in it`,
        ]);
      }
      if (!stats.isFile()) throw invalidFile(file, "is not a regular file");
      const buffer = Buffer.alloc(SIZE_LIMIT_BYTES + 1);
      let size = 0;
      while (size < buffer.length) {
        const { bytesRead } = await handle.read(buffer, size, buffer.length - size);
        if (bytesRead === 0) break;
        size += bytesRead;
      }
      if (size > SIZE_LIMIT_BYTES) {
        throw invalidFile(
          file,
          `has ${Math.max(size, stats.size)} bytes, expected at most ${SIZE_LIMIT_BYTES}`,
        );
      }
      return buffer.subarray(0, size);
    } finally {
      await handle.close();
    }
  } catch (error) {
    if (error instanceof DllmError) throw error;
    throw unreadable(file, error);
  }
}

function invalidFile(file: string, problem: string, details: readonly string[] = []): DllmError {
  return new DllmError(`recipe ${file} ${problem}`, { exitCode: ExitCode.invalidInput, details });
}

function unreadable(file: string, cause: unknown): DllmError {
  switch (errorCode(cause) ?? "") {
    case "ENOENT":
    case "ENOTDIR":
      return new DllmError(`recipe ${file} does not exist`, {
        exitCode: ExitCode.notFound,
        details: [
          file === "-"
            ? "a recipe is a file, never standard input: what it names is relative to it"
            : "start from a copy of recipes/quickstart.yaml",
        ],
        cause,
      });
    case "EACCES":
    case "EPERM":
      return new DllmError(`recipe ${file} may not be read`, {
        exitCode: ExitCode.noPermission,
        cause,
      });
    default:
      return new DllmError(`recipe ${file} cannot be read: ${errorMessage(cause)}`, {
        exitCode: ExitCode.ioError,
        cause,
      });
  }
}

function firstLineNotUtf8(bytes: Buffer): number {
  let line = 1;
  for (let start = 0; start < bytes.length; line++) {
    const newline = bytes.indexOf(0x0a, start);
    const end = newline === -1 ? bytes.length : newline;
    if (!isUtf8(bytes.subarray(start, end))) return line;
    start = end + 1;
  }
  return line;
}

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

/**
 * Returns the first bound that a text exceeds. Parser and composer of `yaml` are recursive, its
 * lexer is not: the depth is measured on the very tokens that the parser would see.
 */
function findExcess(text: string, origin: Origin): Issue | undefined {
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

/** The number of an integer such as 200_000, which YAML 1.2 takes for a text. */
function plainInteger({ type, source = "" }: YamlScalar): number | undefined {
  return type === "PLAIN" && /^-?\d+(?:_\d+)+$/.test(source)
    ? Number(source.replaceAll("_", ""))
    : undefined;
}

function buildTree(
  document: Document.Parsed,
  contents: ParsedNode,
  origin: Origin,
  at: (start: number, end: number) => Position,
): { root: SourceNode; issues: Issue[]; size: number } {
  const issues: Issue[] = [];
  const open = new Set<Node>();
  let nodes = 0;
  // The outermost alias whose value is being built.
  let expanding: Position | undefined;
  // Looking an anchor up walks the document: once per alias, however often it is expanded.
  const targets = new Map<Alias, Node | undefined>();
  const resolveAlias = (alias: Alias): Node | undefined => {
    if (!targets.has(alias)) targets.set(alias, alias.resolve(document));
    return targets.get(alias);
  };
  const report = (position: Position, message: string, ...details: string[]) => {
    issues.push({ at: position, message, details });
  };
  const rangeOf = (node: Node): Position => at(node.range![0], node.range![1]);

  const build = (node: Node | null, path: string, fallback: Position): SourceNode => {
    if (node === null) return { type: "scalar", value: null, at: fallback };
    const position = rangeOf(node);
    if (++nodes > NODE_LIMIT) {
      const message = `aliases expand the recipe to more than ${NODE_LIMIT} values`;
      throw new RecipeError(origin.label, [{ at: expanding ?? position, message, details: [] }]);
    }
    const empty: SourceNode = { type: "scalar", value: null, at: position, isReported: true };
    if (isAlias(node)) {
      const target = resolveAlias(node);
      if (target === undefined) {
        report(position, `alias *${node.source} has no anchor before it`);
        return empty;
      }
      if (open.has(target)) {
        report(position, `alias *${node.source} contains itself`);
        return empty;
      }
      const outer = expanding;
      expanding ??= position;
      const value = build(target, path, position);
      expanding = outer;
      return { ...value, at: position };
    }
    if (node.tag !== undefined) {
      report(position, `tag ${node.tag} is not allowed`, "recipes have plain values only");
    }
    if (isScalar(node)) {
      return {
        type: "scalar",
        value: scalarValue(plainInteger(node) ?? node.value, node.source, position),
        at: position,
      };
    }
    open.add(node);
    try {
      if (isSeq(node)) {
        const items = node.items.map((item, index) =>
          build(item as Node | null, `${path}.${index}`, position),
        );
        return { type: "list", items, at: position };
      }
      if (isMap(node)) return buildMap(node.items as Pair<Node, Node | null>[], path, position);
    } finally {
      open.delete(node);
    }
    throw new TypeError(`parseYaml: node ${String(node)} is of no known kind`);
  };

  const buildMap = (
    pairs: readonly Pair<Node, Node | null>[],
    path: string,
    position: Position,
  ): SourceNode => {
    const entries = new Map<string, MapEntry>();
    const inSection = path === "" ? "" : ` in ${path.slice(1)}`;
    for (const { key: keyNode, value } of pairs) {
      const keyAt = rangeOf(keyNode);
      const key: unknown = isScalar(keyNode) ? keyNode.value : undefined;
      if (typeof key !== "string") {
        report(keyAt, `a key${inSection} is no text`);
        continue;
      }
      const earlier = entries.get(key);
      if (FORBIDDEN_KEYS.has(key)) {
        report(keyAt, `key ${JSON.stringify(key)} is not allowed`);
      } else if (earlier !== undefined) {
        report(
          keyAt,
          `duplicate key ${JSON.stringify(key)}${inSection}`,
          `it was first written at ${formatPosition(earlier.keyAt)}`,
        );
      } else {
        entries.set(key, { keyAt, value: build(value, `${path}.${key}`, keyAt) });
      }
    }
    return { type: "map", entries, at: position };
  };

  const scalarValue = (value: unknown, source: string | undefined, position: Position): Scalar => {
    if (typeof value === "number" && !Number.isFinite(value)) {
      report(position, `the number ${source ?? value} is not finite`);
    } else if (Number.isInteger(value) && !Number.isSafeInteger(value)) {
      report(
        position,
        `the integer ${source} is too large`,
        `expected at most ${Number.MAX_SAFE_INTEGER} (2^53 - 1) in size`,
      );
    }
    if (value === null || typeof value === "string" || typeof value === "boolean") return value;
    if (typeof value === "number") return value;
    throw new TypeError(`parseYaml: scalar of type ${typeof value}`);
  };

  const root = build(contents, "", rangeOf(contents));
  return { root, issues, size: nodes };
}
