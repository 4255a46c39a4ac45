/**
 * @file A recipe as it was written: plain values that know the position of every key and value.
 */

/** A text that positions refer to: the recipe file, or the value of one `--set`. */
export interface Origin {
  /** `recipes/x.yaml`, or `--set sft.learning_rate=1e-3`. */
  readonly label: string;
  readonly kind: "file" | "override";
  readonly lines: readonly string[];
  /** Origins are reported in this order. */
  readonly order: number;
}

export interface Position {
  readonly origin: Origin;
  /** From 1; columns count UTF-16 code units. */
  readonly line: number;
  readonly column: number;
  /** Length of the marked text on that line, at least 1. */
  readonly length: number;
}

export type Scalar = string | number | boolean | null;

interface Placed {
  readonly at: Position;
  /** Where a variable stood for this value, the outermost one. */
  readonly via?: Variable;
  /** Whether it stands for a value that was reported to be none. */
  readonly isReported?: boolean;
}

/** `${size}` or `${env:SIZE}`, where it was used. */
export interface Variable {
  readonly text: string;
  readonly kind: "variable" | "environment";
  readonly usedAt: Position;
  /** What defines it, and the variables that it stands for itself, by name. */
  readonly definitions: ReadonlyMap<string, MapEntry>;
}

export type ScalarNode = Placed & { readonly type: "scalar"; readonly value: Scalar };
export type ListNode = Placed & { readonly type: "list"; readonly items: readonly SourceNode[] };
export type SourceNode = ScalarNode | ListNode | MapNode;

export interface MapNode extends Placed {
  readonly type: "map";
  readonly entries: Map<string, MapEntry>;
}

export interface MapEntry {
  readonly keyAt: Position;
  readonly value: SourceNode;
  /** What this entry was laid over: of a file it extends, or before a profile or `--set`. */
  readonly previous?: MapEntry;
  /** The profile that wrote it. */
  readonly profile?: string;
}

/** A path of map keys and list indices; written `sft.learning_rate`, `eval.tasks.0`. */
export type KeyPath = readonly string[];

/** Rules ask for the same few key paths in each of thousands of trials. */
const splitPaths = new Map<string, KeyPath>();
const REMEMBERED_PATHS = 1000;

/** Returns the parts of a path written with dots; none of the empty one, which is the root. */
export function splitPath(text: string): KeyPath {
  let path = splitPaths.get(text);
  if (path === undefined) {
    path = text === "" ? [] : text.split(".");
    if (splitPaths.size === REMEMBERED_PATHS) splitPaths.clear();
    splitPaths.set(text, path);
  }
  return path;
}

export function makeOrigin(
  kind: Origin["kind"],
  label: string,
  text: string,
  order: number,
): Origin {
  return { kind, label, order, lines: text.split(/\r\n|\n|\r/) };
}

/** `recipes/x.yaml:22:20`, or the override's own text. */
export function formatPosition({ origin, line, column }: Position): string {
  return origin.kind === "file" ? `${origin.label}:${line}:${column}` : origin.label;
}

/** Returns the plain value of a node; maps become objects without a prototype. */
export function plainValue(node: SourceNode): unknown {
  switch (node.type) {
    case "scalar":
      return node.value;
    case "list":
      return node.items.map(plainValue);
    case "map": {
      const plain = Object.create(null) as Record<string, unknown>;
      for (const [key, { value }] of node.entries) plain[key] = plainValue(value);
      return plain;
    }
  }
}

export interface Found {
  /** Where the key is, undefined for the root and for list items. */
  keyAt: Position | undefined;
  /** Likewise. */
  entry: MapEntry | undefined;
  node: SourceNode;
  /** Whether this is the node of the whole path, not of an ancestor. */
  exact: boolean;
  /** The variable that stood for the node, or for what it is in. */
  via: Variable | undefined;
}

/** Returns the node at a path, or its closest ancestor that was written. */
export function findNode(root: SourceNode, path: KeyPath): Found {
  let found: Found = {
    keyAt: undefined,
    entry: undefined,
    node: root,
    exact: true,
    via: root.via,
  };
  let rest = path;
  while (rest.length > 0) {
    const { node } = found;
    const { entry, parts } = node.type === "map" ? entryAt(node, rest) : NO_ENTRY;
    const next = node.type === "list" ? node.items[Number(rest[0])] : entry?.value;
    if (next === undefined) return { ...found, exact: false };
    rest = rest.slice(parts);
    const via = next.via ?? found.via;
    found = { keyAt: entry?.keyAt, entry, node: next, exact: true, via };
  }
  return found;
}

/** Whether there is a node at a path. */
export function isThere(root: SourceNode, path: KeyPath): boolean {
  let node: SourceNode | undefined = root;
  for (let at = 0; at < path.length && node !== undefined;) {
    const rest = at === 0 ? path : path.slice(at);
    const { entry, parts }: NamedEntry = node.type === "map" ? entryAt(node, rest) : NO_ENTRY;
    node = node.type === "list" ? node.items[Number(rest[0])] : entry?.value;
    at += parts;
  }
  return node !== undefined;
}

/** Returns the keys of a path written with dots, where a key of the tree may have some itself. */
export function keyPathOf(root: SourceNode, text: string): KeyPath {
  let rest = splitPath(text);
  const path: string[] = [];
  let node: SourceNode | undefined = root;
  while (rest.length > 0) {
    const named: NamedEntry = node?.type === "map" ? entryAt(node, rest) : NO_ENTRY;
    const { entry, parts } = named;
    const key = rest.slice(0, parts).join(".");
    const item: SourceNode | undefined =
      node?.type === "list" ? node.items[Number(key)] : undefined;
    node = item ?? entry?.value;
    path.push(key);
    rest = rest.slice(parts);
  }
  return path;
}

interface NamedEntry {
  entry: MapEntry | undefined;
  /** How many parts of the path its key is. */
  parts: number;
}

const NO_ENTRY: NamedEntry = { entry: undefined, parts: 1 };

/** Returns the entry that a path names first: a sweep's parameters have dots in their keys. */
export function entryAt({ entries }: MapNode, path: KeyPath): NamedEntry {
  let key = "";
  for (const [index, part] of path.entries()) {
    key = index === 0 ? part : `${key}.${part}`;
    const entry = entries.get(key);
    if (entry !== undefined) return { entry, parts: index + 1 };
  }
  return NO_ENTRY;
}

/** Says where a variable stood for a value, in a line. */
export function usedAs({ via }: Found): string[] {
  return via === undefined ? [] : [`used as ${via.text} at ${formatPosition(via.usedAt)}`];
}
