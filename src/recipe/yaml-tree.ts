/** @file A parsed YAML document to a tree of values with positions, its aliases expanded. */
import { isAlias, isMap, isScalar, isSeq } from "yaml";
import type { Alias, Document, Node, Pair, ParsedNode, Scalar as YamlScalar } from "yaml";
import { RecipeError, type Issue } from "./issues.js";
import { formatPosition } from "./source-tree.js";
import type { MapEntry, Origin, Position, Scalar, SourceNode } from "./source-tree.js";

export const NODE_LIMIT = 50_000;

/** Keys that would change an object's prototype where code is careless with plain objects. */
const FORBIDDEN_KEYS: ReadonlySet<string> = new Set(["__proto__", "constructor", "prototype"]);

/** The number of an integer such as 200_000, which YAML 1.2 takes for a text. */
function plainInteger({ type, source = "" }: YamlScalar): number | undefined {
  return type === "PLAIN" && /^-?\d+(?:_\d+)+$/.test(source)
    ? Number(source.replaceAll("_", ""))
    : undefined;
}

/** @throws RecipeError when aliases make more of it than a recipe may have */
export function buildTree(
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
