/**
 * @file Trials that vary numbers only, as most do: a number decides neither which keys a recipe has
 * nor their defaults, so that each is the first trial's recipe with other numbers in it.
 */
import type { Recipe } from "./schema.js";
import { isInRange, shapeAt } from "./shapes.js";
import type { KeyPath, MapNode } from "./source-tree.js";

/** Sections that decide defaults, and variables, which stand for any value. */
const DECIDERS: ReadonlySet<string> = new Set(["model", "vars"]);

type Section = Readonly<Record<string, unknown>>;
type Values = Readonly<Record<string, unknown>>;

/**
 * Returns a function from the values of a trial to its recipe, frozen: undefined where a
 * value is no number that its key accepts. Undefined where the sweep varies anything else.
 * @param first the recipe of a trial, and its tree
 */
export function numberTrials(
  first: { recipe: Recipe; root: MapNode },
  keyPaths: readonly string[],
): ((values: Values) => Recipe | undefined) | undefined {
  const parameters = keyPaths.flatMap((keyPath) => {
    const path = keyPath.split(".");
    const shape = shapeAt(first.root, path)?.shape;
    const isNumber = shape?.type === "number" || shape?.type === "integer";
    if (DECIDERS.has(path[0]!) || !isNumber || !isNumberAt(first.recipe, path)) return [];
    return [{ keyPath, path, shape }];
  });
  if (parameters.length < keyPaths.length) return undefined;
  return (values) => {
    const recipe = copyOf(first.recipe as unknown as Section);
    const copies = new Map<string, Record<string, unknown>>();
    for (const { keyPath, path, shape } of parameters) {
      const value = values[keyPath];
      if (typeof value !== "number" || !isInRange(shape, value)) return undefined;
      sectionAt(recipe, path, copies)[path.at(-1)!] = value;
    }
    // All else is the first trial's, and frozen.
    for (const copy of copies.values()) Object.freeze(copy);
    return Object.freeze(recipe) as unknown as Recipe;
  };
}

const copyOf = (section: Section): Record<string, unknown> => ({ ...section });

function isNumberAt(recipe: Recipe, path: KeyPath): boolean {
  let value: unknown = recipe;
  for (const key of path) {
    if (typeof value !== "object" || value === null || Array.isArray(value)) return false;
    value = (value as Section)[key];
  }
  return typeof value === "number";
}

/** Returns the section of the last key of a path, a copy as all sections above it. */
function sectionAt(
  recipe: Record<string, unknown>,
  path: KeyPath,
  copies: Map<string, Record<string, unknown>>,
): Record<string, unknown> {
  let section = recipe;
  let keyPath = "";
  for (let i = 0; i < path.length - 1; i++) {
    const key = path[i]!;
    keyPath += `.${key}`;
    let copy = copies.get(keyPath);
    if (copy === undefined) {
      copy = copyOf(section[key] as Section);
      copies.set(keyPath, copy);
      section[key] = copy;
    }
    section = copy;
  }
  return section;
}
