/** @file Who set a value of a recipe, and what that value was laid over. */
import { COMPOSITION_KEYS } from "./compose.js";
import type { Decider, DependentDefaults } from "./dependent-defaults.js";
import type { Recipe } from "./schema.js";
import { fieldsOf, shapeAt } from "./shapes.js";
import { findNode, formatPosition, keyPathOf, plainValue } from "./source-tree.js";
import type { KeyPath, MapEntry, MapNode, SourceNode } from "./source-tree.js";

/** One writer of a value. */
export interface Writing {
  value: unknown;
  /** `recipes/x.yaml:22:20`, or `--set sft.learning_rate=1e-3`. */
  position: string;
  /**
   * `profile smoke`, `${lr} at recipes/x.yaml:22:20`, `variable lr` for a definition that it had
   * before; absent: the file or `--set`.
   */
  by?: string;
}

export interface Provenance {
  keyPath: string;
  /** Whether the recipe has this key, written or by default. */
  isPresent: boolean;
  value: unknown;
  /** Who wrote it, the last first; empty where it is a default. */
  writings: readonly Writing[];
  /** Of a variable: the keys whose values it is in, also through other variables. */
  usedBy?: readonly string[];
  /** Where the value comes from if nobody wrote it: `the default`. */
  defaultOf?: string;
  doc?: string;
}

/** Returns the provenance of a value; of a section, of the section itself. */
export function provenanceOf(
  root: MapNode,
  keyPath: string,
  { recipe, dependent }: { recipe: Recipe; dependent: DependentDefaults },
): Provenance {
  const path = keyPathOf(root, keyPath);
  const { entry, node, exact } = findNode(root, path);
  // How a recipe is put together is no part of what comes of it.
  const isComposition = COMPOSITION_KEYS.has(path[0] ?? "");
  const value = isComposition ? (exact ? plainValue(node) : undefined) : valueAt(recipe, path);
  const doc = docOf(root, path);
  const decider = dependent.get(keyPath)?.decider;
  return {
    keyPath,
    isPresent: value !== undefined,
    value,
    writings: exact
      ? entry === undefined
        ? [writing(node), ...replacedDefinitions(node)]
        : chain(entry)
      : [],
    ...(path[0] === "vars" && path.length === 2 && exact && { usedBy: usersOf(root, path[1]!) }),
    ...(!exact && value !== undefined && { defaultOf: describeDecider(root, decider) }),
    ...(doc !== undefined && { doc }),
  };
}

/** The value at a path of plain objects and lists; undefined where there is none. */
function valueAt(root: unknown, path: KeyPath): unknown {
  let value = root;
  for (const key of path) {
    // A text has characters, a list a length, and any object a prototype: no part of the recipe.
    const isNamed = Array.isArray(value) ? /^\d+$/.test(key) : typeof value === "object";
    const isThere = isNamed && value !== null && Object.hasOwn(value as object, key);
    value = isThere ? (value as Record<string, unknown>)[key] : undefined;
  }
  return value;
}

function describeDecider(root: MapNode, decider: Decider | undefined): string {
  switch (decider) {
    case "edition":
      return `the default of edition ${named(root, ["edition"])}`;
    case "model.preset":
      return `the value of preset ${named(root, ["model", "preset"])}`;
    case "model.family":
    case "model.config":
      return "the model family's default";
    case undefined:
      return "the default";
  }
}

/** The word at a path, and where it is written. */
function named(root: MapNode, path: KeyPath): string {
  const { node } = findNode(root, path);
  return `${String(plainValue(node))}, ${formatPosition(node.at)}`;
}

function chain(entry: MapEntry): Writing[] {
  return [writing(entry.value, entry), ...replacedDefinitions(entry.value), ...earlier(entry)];
}

/** What an entry was laid over, the last first. */
function earlier({ previous }: MapEntry): Writing[] {
  return previous === undefined ? [] : chain(previous);
}

/** What the definitions of the variables that a value came from were laid over. */
function replacedDefinitions({ via }: SourceNode): Writing[] {
  return [...(via?.definitions ?? [])].flatMap(([name, definition]) =>
    earlier(definition).map((each) => {
      const by = [`variable ${name}`, ...(each.by === undefined ? [] : [each.by])];
      return { ...each, by: by.join(", ") };
    }),
  );
}

/** The keys whose values a variable is in. */
function usersOf(root: MapNode, name: string): string[] {
  const users: string[] = [];
  const visit = (node: SourceNode, path: string): void => {
    if (node.via !== undefined) {
      // What is below was put in with it.
      if (node.via.definitions.has(name)) users.push(path);
    } else if (node.type === "list") {
      node.items.forEach((item, index) => visit(item, `${path}.${index}`));
    } else if (node.type === "map") {
      for (const [key, { value }] of node.entries) {
        visit(value, path === "" ? key : `${path}.${key}`);
      }
    }
  };
  visit(root, "");
  return users;
}

function writing(node: SourceNode, entry?: MapEntry): Writing {
  const by = [
    ...(entry?.profile === undefined ? [] : [`profile ${entry.profile}`]),
    ...(node.via === undefined ? [] : [`${node.via.text} at ${formatPosition(node.via.usedAt)}`]),
  ];
  const at = node.type === "map" ? (entry?.keyAt ?? node.at) : node.at;
  return {
    value: plainValue(node),
    position: formatPosition(at),
    ...(by.length > 0 && { by: by.join(", ") }),
  };
}

function docOf(root: MapNode, path: readonly string[]): string | undefined {
  const key = path.at(-1);
  if (key === undefined) return undefined;
  const parent = shapeAt(root, path.slice(0, -1));
  if (parent === undefined) return undefined;
  const fields = fieldsOf(parent.shape, findNode(root, path.slice(0, -1)).node);
  return Object.hasOwn(fields, key) ? fields[key]?.doc : undefined;
}
