/**
 * @file Trials that vary numbers only, as most do: a number decides neither which keys a recipe has
 * nor their defaults, so that each is the first trial's recipe with other numbers in it.
 */
import type { Recipe } from "./schema.js";
import { checkRecipe } from "./checks.js";
import type { DependentDefaults } from "./dependent-defaults.js";
import type { RecipeError } from "./issues.js";
import type { LoadedRecipe, ValueProblem } from "./load.js";
import { placesIn } from "./places.js";
import { acceptsNumber, shapeAt } from "./shapes.js";
import type { KeyPath, MapNode } from "./source-tree.js";

/** Sections that decide defaults, and variables, which stand for any value. */
const DECIDERS: ReadonlySet<string> = new Set(["model", "vars"]);

/** The values of a trial by key path. */
export type Values = Readonly<Record<string, unknown>>;

/**
 * Returns a function that loads trials like the first without their trees; undefined for one that
 * must have its own: to say where something is wrong, or for what decides more than a number.
 */
export function numberTrialLoader(
  first: LoadedRecipe,
  root: MapNode,
  {
    values: firstValues,
    dependent,
    load,
  }: {
    values: Values;
    dependent: DependentDefaults;
    load: (values: Values) => LoadedRecipe;
  },
): (values: Values) => LoadedRecipe | undefined {
  const recipeOf = numberTrials({ recipe: first.recipe, root }, Object.keys(firstValues));
  const { isWritten: findWritten, writerOf } = placesIn(root, dependent, first.directory);
  // The same keys are written in all of these trials.
  const written = new Map<string, boolean>();
  const isWritten = (keyPath: string): boolean => {
    let found = written.get(keyPath);
    if (found === undefined) written.set(keyPath, (found = findWritten(keyPath)));
    return found;
  };
  return (values) => {
    const recipe = recipeOf?.(values);
    if (recipe === undefined) return undefined;
    let isSound = true;
    const report = () => (isSound = false);
    checkRecipe({ recipe, isWritten, writerOf, report });
    return isSound ? new NumberTrial(recipe, first, () => load(values)) : undefined;
  };
}

/** A trial that is like the first; its tree is read only for what depends on it. */
class NumberTrial implements LoadedRecipe {
  private whole: LoadedRecipe | undefined;

  constructor(
    readonly recipe: Recipe,
    private readonly first: LoadedRecipe,
    private readonly load: () => LoadedRecipe,
  ) {}

  private get loaded(): LoadedRecipe {
    return (this.whole ??= this.load());
  }

  get file() {
    return this.first.file;
  }

  get parents() {
    return this.first.parents;
  }

  get directory() {
    return this.first.directory;
  }

  get text() {
    return this.first.text;
  }

  get layers() {
    return this.first.layers;
  }

  position(keyPath: string) {
    return this.loaded.position(keyPath);
  }

  origin(keyPath: string) {
    return this.loaded.origin(keyPath);
  }

  directoryOf(keyPath: string) {
    return this.loaded.directoryOf(keyPath);
  }

  isWritten(keyPath: string) {
    return this.loaded.isWritten(keyPath);
  }

  provenance(keyPath: string) {
    return this.loaded.provenance(keyPath);
  }

  at<Value>(keyPath: string, action: () => Value): Value {
    return this.loaded.at(keyPath, action);
  }

  errorAt(keyPath: string, problem: ValueProblem): RecipeError {
    return this.loaded.errorAt(keyPath, problem);
  }

  withValues(values: Values): LoadedRecipe {
    return this.loaded.withValues(values);
  }
}

type Section = Readonly<Record<string, unknown>>;

/**
 * Returns a function from the values of a trial to its recipe, frozen: undefined where a
 * value is no number that its key accepts. Undefined where the sweep varies anything else.
 * @param first the recipe of a trial, and its tree
 */
function numberTrials(
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
      if (typeof value !== "number" || !acceptsNumber(shape, value)) return undefined;
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
