/** @file What layers of a recipe must agree on: whether a value is a map. */
import type { Issue } from "./issues.js";
import type { KeyPath, MapEntry, MapNode } from "./source-tree.js";
import { formatPosition } from "./source-tree.js";
import { describeValue, labelOf } from "./validate.js";

/**
 * Returns a problem for each value that is no map, and that a map was laid over: it would be gone
 * without a word, and what was missing then would be missed in the wrong file.
 */
export function clashingLayers(root: MapNode, path: KeyPath = []): Issue[] {
  return [...root.entries].flatMap(([key, entry]) => {
    // Variables have values of any kind.
    if (key === "vars" || entry.value.type !== "map") return [];
    const own = [...path, key];
    return [...clashesOf(entry, own), ...clashingLayers(entry.value, own)];
  });
}

function clashesOf({ keyAt, previous }: MapEntry, path: KeyPath): Issue[] {
  const issues: Issue[] = [];
  for (let below = previous; below !== undefined; below = below.previous) {
    const { value } = below;
    if (value.type === "map" || (value.type === "scalar" && value.value === null)) continue;
    const found = `${labelOf(path)} is ${describeValue(value)}, expected a map`;
    const details = [`it is one at ${formatPosition(keyAt)}, which is laid over this`];
    issues.push({ at: value.at, message: found, details });
  }
  return issues;
}
