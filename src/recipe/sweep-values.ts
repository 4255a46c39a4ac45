/**
 * @file The values that a sweep gives to recipe keys: each must be one that the key accepts, and
 * is checked where the sweep writes it.
 */
import type { Issue } from "./issues.js";
import { sourceNode, writeOver, type Written } from "./overrides.js";
import { formatPosition, plainValue } from "./source-tree.js";
import type { MapEntry, MapNode, SourceNode } from "./source-tree.js";
import { validateTree } from "./validate.js";

/** What names or composes a recipe is the same in all trials. */
const FIXED_KEYS: ReadonlySet<string> = new Set([
  "name",
  "description",
  "extends",
  "profiles",
  "sweep",
  "reproduces",
  "expects",
]);

/** Returns the parameters of the sweep of a tree by recipe key path. */
function sweepParameters(root: MapNode): ReadonlyMap<string, MapEntry> {
  const sweep = root.entries.get("sweep")?.value;
  const parameters = sweep?.type === "map" ? sweep.entries.get("parameters")?.value : undefined;
  return parameters?.type === "map" ? parameters.entries : new Map<string, MapEntry>();
}

/** The values that are written out: a drawn one lies between `min` and `max`. */
function writtenValues(parameter: SourceNode): SourceNode[] {
  if (parameter.type !== "map") return [];
  const { entries } = parameter;
  const values = entries.get("values")?.value;
  const single = ["value", "min", "max"].flatMap((key) => entries.get(key)?.value ?? []);
  return [...single, ...(values?.type === "list" ? values.items : [])];
}

/** Returns what to write for the values of one trial, each at the position of the sweep's value. */
export function trialWritings(root: MapNode, values: Readonly<Record<string, unknown>>): Written[] {
  const parameters = sweepParameters(root);
  return Object.entries(values).map(([keyPath, value]) => {
    const entry = parameters.get(keyPath);
    if (entry === undefined) throw new TypeError(`trialWritings: ${keyPath} is not swept`);
    const text = JSON.stringify(value);
    const written = writtenValues(entry.value).find(
      (node) => JSON.stringify(plainValue(node)) === text,
    );
    return {
      path: keyPath.split("."),
      value: written ?? sourceNode(value, entry.value.at),
      keyAt: entry.keyAt,
    };
  });
}

/**
 * Returns the problems of a sweep's parameters: keys that no recipe has, and values that their
 * keys do not accept. The tree itself is valid.
 */
export function sweepIssues(root: MapNode): Issue[] {
  const issues = new Map<string, Issue>();
  for (const [keyPath, { keyAt, value }] of sweepParameters(root)) {
    const path = keyPath.split(".");
    if (FIXED_KEYS.has(path[0]!)) {
      const message = `a sweep cannot vary ${keyPath}: it is the same in all trials`;
      issues.set(message, { at: keyAt, message, details: [] });
      continue;
    }
    // Variables have been replaced: what they stood for is checked trial by trial.
    if (path[0] === "vars") continue;
    for (const node of writtenValues(value)) {
      const written = writeOver(root, [{ path, value: node, keyAt }]);
      for (const issue of [...written.issues, ...validateTree(written.root).issues]) {
        issues.set(`${formatPosition(issue.at)} ${issue.message}`, issue);
      }
    }
  }
  return [...issues.values()];
}
