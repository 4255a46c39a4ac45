/** @file `--set a.b.c=value`: values written over a recipe's tree. */
import { DllmError, ExitCode } from "../base/errors.js";
import type { Issue } from "./issues.js";
import { parseYaml } from "./parse.js";
import { entryAt, makeOrigin } from "./source-tree.js";
import type { KeyPath, MapEntry, MapNode, Position, Scalar, SourceNode } from "./source-tree.js";

/** After all files. */
const FIRST_ORDER = 1000;

/** Keys that have done their work before anything is written over the recipe. */
const FILE_KEYS: ReadonlySet<string> = new Set(["extends", "profiles"]);

/** A value to write over a tree. */
export interface Written {
  path: KeyPath;
  value: SourceNode;
  /** Where the key is said to be written. */
  keyAt: Position;
}

/**
 * Returns what `--set a.b.c=value` writes, at the position `--set a.b.c=value`.
 * @throws DllmError 2 for an override that is not of the form `key=value`
 */
export function parseOverrides(overrides: readonly string[]): {
  writings: readonly Written[];
  issues: readonly Issue[];
} {
  const issues: Issue[] = [];
  const writings = overrides.map((override, index): Written => {
    const equals = override.indexOf("=");
    const path = override.slice(0, Math.max(0, equals)).trim().split(".");
    if (equals === -1 || path.includes("")) {
      throw new DllmError(`--set ${override}: expected key=value, with a key like sft.max_steps`, {
        exitCode: ExitCode.usage,
      });
    }
    const order = FIRST_ORDER + index;
    const source = { kind: "override", label: `--set ${override}`, order } as const;
    const origin = makeOrigin(source.kind, source.label, override, source.order);
    const keyAt: Position = { origin, line: 1, column: 1, length: override.length };
    if (FILE_KEYS.has(path[0]!)) {
      const message = `${path[0]} is read from files alone, so that nothing here would change it`;
      issues.push({
        at: keyAt,
        message,
        details: ["write it into a recipe that extends this one"],
      });
    }
    const parsed = parseYaml(override.slice(equals + 1), source);
    issues.push(...parsed.issues);
    return { path, value: parsed.root ?? { type: "scalar", value: null, at: keyAt }, keyAt };
  });
  return { writings, issues };
}

/**
 * Returns the tree with values written over it, in order; missing sections are added, and null
 * removes what is there.
 */
export function writeOver(
  root: MapNode,
  writings: readonly Written[],
): { root: MapNode; issues: readonly Issue[] } {
  const issues: Issue[] = [];
  let result = root;
  for (const { path, value, keyAt } of writings) {
    const written = write(result, path, { value, at: keyAt, issues });
    if (written.type === "map") result = written;
  }
  return { root: result, issues };
}

/** Returns the tree of a plain value, all of it at one position. */
export function sourceNode(value: unknown, at: Position): SourceNode {
  if (Array.isArray(value)) {
    return { type: "list", items: value.map((item) => sourceNode(item, at)), at };
  }
  if (typeof value === "object" && value !== null) {
    const entries = Object.entries(value).map(
      ([key, item]) => [key, { keyAt: at, value: sourceNode(item, at) }] as const,
    );
    return { type: "map", entries: new Map<string, MapEntry>(entries), at };
  }
  return { type: "scalar", value: value as Scalar, at };
}

function write(
  node: SourceNode,
  path: KeyPath,
  context: { value: SourceNode; at: Position; issues: Issue[] },
): SourceNode {
  const { value, at, issues } = context;
  if (path.length === 0) return value;
  const parts = node.type === "map" ? entryAt(node, path).parts : 1;
  const [key, rest] = [path.slice(0, parts).join("."), path.slice(parts)];
  if (node.type === "list" && /^\d+$/.test(key) && Number(key) < node.items.length) {
    const items = node.items.map((item, i) =>
      i === Number(key) ? write(item, rest, context) : item,
    );
    return { ...node, items };
  }
  if (node.type !== "map") {
    issues.push({
      at,
      message:
        node.type === "list"
          ? `${JSON.stringify(key)} is no index of this list of ${node.items.length}`
          : `there is no section to put ${JSON.stringify(key)} into`,
      details: [],
    });
    return node;
  }
  const entry = node.entries.get(key);
  const isRemoved = rest.length === 0 && value.type === "scalar" && value.value === null;
  if (isRemoved && entry !== undefined) {
    const left = new Map(node.entries);
    left.delete(key);
    return { ...node, entries: left };
  }
  const below = entry?.value ?? { type: "map", entries: new Map<string, MapEntry>(), at };
  const isEmptySection = below.type === "scalar" && below.value === null && rest.length > 0;
  const target: SourceNode = isEmptySection
    ? { type: "map", entries: new Map<string, MapEntry>(), at: below.at }
    : below;
  const entries = new Map(node.entries);
  entries.set(key, {
    keyAt: entry?.keyAt ?? at,
    value: write(target, rest, context),
    ...(entry !== undefined && { previous: entry }),
  });
  return { ...node, entries };
}
