/**
 * @file Puts a recipe together from its layers: the files it extends, itself, profiles, and
 * `--set`. Maps are merged key by key, everything else is replaced, and null removes what it is
 * laid over.
 */
import type { Issue } from "./issues.js";
import { nearest } from "./issues.js";
import type { MapEntry, MapNode, Position, SourceNode } from "./source-tree.js";
import { describeValue, labelOf } from "./validate.js";

/** Sections that say how a recipe is put together: no part of the recipe itself. */
export const COMPOSITION_KEYS: ReadonlySet<string> = new Set(["extends", "vars", "profiles"]);

/** What a file says about itself: those that extend it do not take it over. */
const OWN_KEYS: ReadonlySet<string> = new Set(["name", "description", "extends"]);

/** Returns the tree of a file laid over the trees that it extends, the last of which wins. */
export function layOverParents(own: MapNode, parents: readonly MapNode[]): MapNode {
  let below: MapNode = { type: "map", entries: new Map(), at: own.at };
  for (const parent of parents) {
    const entries = new Map([...parent.entries].filter(([key]) => !OWN_KEYS.has(key)));
    below = layOver(below, { ...parent, entries });
  }
  return layOver(below, own);
}

/** Returns `above` laid over `below`. */
export function layOver(below: MapNode, above: MapNode, profile?: string): MapNode {
  const entries = new Map(below.entries);
  for (const [key, entry] of above.entries) {
    const previous = below.entries.get(key);
    const { value } = entry;
    if (previous !== undefined && value.type === "scalar" && value.value === null) {
      entries.delete(key);
      continue;
    }
    const isMerged = value.type === "map" && previous?.value.type === "map";
    entries.set(key, {
      ...over(entry, previous, profile),
      value: isMerged ? layOver(previous.value as MapNode, value, profile) : value,
    });
  }
  return { ...above, entries };
}

/** An entry and all that it was laid over, with `previous` beneath. */
function over(entry: MapEntry, previous: MapEntry | undefined, profile?: string): MapEntry {
  const beneath = entry.previous === undefined ? previous : over(entry.previous, previous, profile);
  return {
    ...entry,
    ...(beneath !== undefined && { previous: beneath }),
    ...(profile !== undefined && { profile }),
  };
}

/**
 * Returns the recipe with profiles laid over it, in order. Its runs get a name of their own:
 * `name-profile`.
 */
export function applyProfiles(
  root: MapNode,
  names: readonly string[],
): { root: MapNode; issues: readonly Issue[] } {
  const issues: Issue[] = [];
  let result = root;
  for (const name of names) {
    const profiles = root.entries.get("profiles");
    const known =
      profiles?.value.type === "map" ? profiles.value.entries : new Map<string, never>();
    const entry = known.get(name) as MapEntry | undefined;
    if (entry !== undefined && entry.value.type !== "map") {
      issues.push(noPart(name, entry));
      continue;
    }
    if (entry?.value.type !== "map") {
      issues.push(noProfile(name, profiles?.keyAt ?? root.at, [...known.keys()]));
      continue;
    }
    result = withName(layOver(result, entry.value, name), name);
  }
  return { root: withoutProfiles(result, names), issues };
}

/** What a profile said is now said by the recipe: it is not checked in both places. */
function withoutProfiles(root: MapNode, names: readonly string[]): MapNode {
  const entry = root.entries.get("profiles");
  if (entry?.value.type !== "map" || names.length === 0) return root;
  const left = new Map([...entry.value.entries].filter(([name]) => !names.includes(name)));
  const entries = new Map(root.entries);
  if (left.size === 0) entries.delete("profiles");
  else entries.set("profiles", { ...entry, value: { ...entry.value, entries: left } });
  return { ...root, entries };
}

function noPart(name: string, { keyAt, value }: MapEntry): Issue {
  return {
    at: keyAt,
    message: `profile ${JSON.stringify(name)} is ${describeValue(value)}, expected a map`,
    details: [`write the keys that it changes below it, as in "${name}: {seed: 1}"`],
  };
}

function noProfile(name: string, at: Position, known: readonly string[]): Issue {
  const suggestion = nearest(name, known);
  const details = [
    known.length === 0 ? "the recipe has no profile" : `profiles: ${known.join(", ")}`,
    ...(suggestion === undefined ? [] : [`did you mean ${JSON.stringify(suggestion)}?`]),
  ];
  const message = `there is no profile ${JSON.stringify(name)} (--profile ${name})`;
  return { at: { ...at, length: 1 }, message, details };
}

function withName(root: MapNode, profile: string): MapNode {
  const entry = root.entries.get("name");
  if (entry?.value.type !== "scalar" || typeof entry.value.value !== "string") return root;
  const value: SourceNode = { ...entry.value, value: `${entry.value.value}-${profile}` };
  return { ...root, entries: new Map(root.entries).set("name", { ...entry, value }) };
}

/** The files that a recipe extends, as it names them. */
export interface Extension {
  name: string;
  at: Position;
}

/** Returns the files that a tree extends, and the problems of what names none. */
export function extensionsOf(root: MapNode): {
  extensions: Extension[];
  issues: readonly Issue[];
} {
  const node = root.entries.get("extends")?.value;
  // An empty value is for the schema to report.
  const isEmpty = node === undefined || (node.type === "scalar" && node.value === null);
  const items = isEmpty ? [] : node.type === "list" ? node.items : [node];
  const extensions: Extension[] = [];
  const issues: Issue[] = [];
  for (const item of items) {
    if (item.type === "scalar" && typeof item.value === "string" && item.value !== "") {
      extensions.push({ name: item.value, at: item.at });
    } else {
      const label = labelOf(node === item ? ["extends"] : ["extends", String(items.indexOf(item))]);
      const message = `${label} is ${describeValue(item)}, expected the name of a recipe file`;
      issues.push({ at: item.at, message, details: [] });
    }
  }
  return { extensions, issues };
}

/** The problem of a file that extends itself, whose chain of files is given. */
export function circularExtension(at: Position, chain: readonly string[]): Issue {
  const message = `the recipe extends itself: ${chain.join(" -> ")}`;
  return { at, message, details: ["remove this one"] };
}
