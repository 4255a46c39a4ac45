/**
 * @file The values that a sweep gives to recipe keys: each must be one that the key accepts, and
 * is checked where the sweep writes it.
 */
import { createMemo } from "../base/memo.js";
import type { Issue } from "./issues.js";
import { sourceNode, writeOver, type Written } from "./overrides.js";
import { acceptsNumber, shapeAt } from "./shapes.js";
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

/** Distributions whose `min` and `max` are logarithms of values. */
const LOGARITHMIC = /log_uniform$/;

/** The values that are written out: a drawn one lies between `min` and `max`. */
function writtenValues(parameter: SourceNode): SourceNode[] {
  if (parameter.type !== "map") return [];
  const { entries } = parameter;
  const values = entries.get("values")?.value;
  const distribution = entries.get("distribution")?.value;
  const isLogarithmic =
    distribution?.type === "scalar" && LOGARITHMIC.test(String(distribution.value));
  const single = ["value", ...(isLogarithmic ? [] : ["min", "max"])].flatMap(
    (key) => entries.get(key)?.value ?? [],
  );
  return [...single, ...(values?.type === "list" ? values.items : [])];
}

/** A value that one trial writes over the recipe. */
export interface TrialWriting extends Written {
  /** Whether it was drawn, and so has not been checked where the sweep is written. */
  isDrawn: boolean;
}

/**
 * Returns a function from the values of a trial to what it writes over the tree, each value at
 * the position where the sweep has it.
 */
export function trialWriter(
  root: MapNode,
): (values: Readonly<Record<string, unknown>>) => TrialWriting[] {
  const parameters = new Map(
    [...sweepParameters(root)].map(([keyPath, entry]) => {
      const listed = new Map(
        writtenValues(entry.value).map((node) => [JSON.stringify(plainValue(node)), node]),
      );
      return [keyPath, { entry, listed, path: keyPath.split(".") }] as const;
    }),
  );
  return (values) =>
    Object.entries(values).map(([keyPath, value]) => {
      const parameter = parameters.get(keyPath);
      if (parameter === undefined) throw new TypeError(`trialWriter: ${keyPath} is not swept`);
      const { entry, listed, path } = parameter;
      const written = listed.get(JSON.stringify(value));
      return {
        path,
        value: written ?? sourceNode(value, entry.value.at),
        keyAt: entry.keyAt,
        isDrawn: written === undefined,
      };
    });
}

/**
 * Returns a function that writes a trial's values over the tree. Sections that are written alike
 * are the same objects in all trials, and so is what is made of them.
 */
export function trialTree(
  root: MapNode,
): (writings: readonly Written[]) => ReturnType<typeof writeOver> {
  const memo = createMemo();
  return (writings) => {
    const entries = new Map(root.entries);
    const issues: Issue[] = [];
    for (const section of new Set(writings.map(({ path }) => path[0]!))) {
      const own = writings.filter(({ path }) => path[0] === section);
      const values = own.map(({ value }) => value);
      const written = memo(section, values, () => writeOver(only(root, section), own));
      const entry = written.root.entries.get(section);
      if (entry === undefined) entries.delete(section);
      else entries.set(section, entry);
      issues.push(...written.issues);
    }
    return { root: { ...root, entries }, issues };
  };
}

function only(root: MapNode, section: string): MapNode {
  const entry = root.entries.get(section);
  return { ...root, entries: new Map(entry === undefined ? [] : [[section, entry]]) };
}

/** Whether all values that were drawn are numbers that their keys accept. */
export function areDrawnInRange(root: MapNode, writings: readonly TrialWriting[]): boolean {
  return writings.every(({ path, value, isDrawn }) => {
    if (!isDrawn) return true;
    const shape = shapeAt(root, path)?.shape;
    if (value.type !== "scalar" || typeof value.value !== "number") return false;
    return acceptsNumber(shape, value.value);
  });
}

/**
 * Returns the problems of a sweep's parameters: keys that no recipe has, and values that their
 * keys do not accept. Problems that the tree has without them are none of theirs.
 */
export function sweepIssues(root: MapNode, others: readonly Issue[]): Issue[] {
  const known = new Set(others.map(({ at }) => formatPosition(at)));
  const issues = new Map<string, Issue>();
  const add = (issue: Issue) => {
    const position = formatPosition(issue.at);
    if (!known.has(position)) issues.set(`${position} ${issue.message}`, issue);
  };
  for (const [keyPath, { keyAt, value }] of sweepParameters(root)) {
    const path = keyPath.split(".");
    if (FIXED_KEYS.has(path[0]!)) {
      const message = `a sweep cannot vary ${keyPath}: it is the same in all trials`;
      add({ at: keyAt, message, details: [] });
      continue;
    }
    // Variables have been replaced: what they stood for is checked trial by trial.
    if (path[0] === "vars") continue;
    for (const node of writtenValues(value)) {
      const written = writeOver(root, [{ path, value: node, keyAt }]);
      written.issues.forEach(add);
      validateTree(written.root).issues.forEach(add);
    }
  }
  return [...issues.values()];
}
