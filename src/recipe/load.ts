/** @file Recipe files to frozen recipes: read, compose, validate, fill, check. */
import { dirname, resolve } from "node:path";
import { DllmError, type ExitCode } from "../base/errors.js";
import { deepFreeze } from "../base/frozen.js";
import { createMemo, type Memo } from "../base/memo.js";
import { clashingLayers } from "./check-layers.js";
import { checkRecipe } from "./checks.js";
import { applyProfiles, COMPOSITION_KEYS } from "./compose.js";
import { fillDefaults, fillSections, type DeepPartial } from "./defaults.js";
import { dependentDefaults, type DependentDefaults } from "./dependent-defaults.js";
import { RecipeError, type Issue } from "./issues.js";
import { parseRecipeFile, readLayers, type ReadText } from "./layers.js";
import { numberTrialLoader, type Values } from "./number-trials.js";
import { parseOverrides, writeOver } from "./overrides.js";
import { placesIn, type ValueOrigin } from "./places.js";
import { provenanceOf, type Provenance } from "./provenance.js";
import type { Recipe } from "./schema.js";
import { formatPosition } from "./source-tree.js";
import type { MapNode, Position } from "./source-tree.js";
import { flattenSweep } from "./sweep-nesting.js";
import {
  areDrawnInRange,
  sweepIssues,
  trialTree,
  trialWriter,
  type TrialWriting,
} from "./sweep-values.js";
import { validateTree } from "./validate.js";
import { replaceVariables, type Environment } from "./variables.js";

export type { ValueOrigin };

export interface LoadedRecipe {
  /** Deep frozen, defaults filled in. */
  readonly recipe: Recipe;
  /** The file as it was given. */
  readonly file: string;
  /** The files that it extends. */
  readonly parents: readonly string[];
  /** Absolute directory of the file. */
  readonly directory: string;
  readonly text: string;
  /** What was laid over the file. */
  readonly layers: { readonly profiles: readonly string[]; readonly set: readonly string[] };
  /**
   * Where a value was written: `file:line:column`, or the `--set` that wrote it; for the default
   * of an edition or a preset, where that is named; for any other, where the closest enclosing
   * section was.
   */
  position(keyPath: string): string;
  /** Who decided a value. */
  origin(keyPath: string): ValueOrigin;
  /** Absolute directory at which a relative path in this value starts: that of its file. */
  directoryOf(keyPath: string): string;
  /** Whether a file, a profile or a `--set` wrote this key itself. */
  isWritten(keyPath: string): boolean;
  /** Who set a value, and what it was laid over. */
  provenance(keyPath: string): Provenance;
  /**
   * Returns what `action` returns; its DllmErrors are shown as problems of the value at a key
   * path.
   */
  at<Value>(keyPath: string, action: () => Value): Value;
  /** Returns the error that a value of this recipe is wrong, shown like all others. */
  errorAt(keyPath: string, problem: ValueProblem): RecipeError;
  /**
   * Returns this recipe with other values, as a sweep gives them.
   * @throws RecipeError when one of them is not valid
   */
  withValues(values: Values): LoadedRecipe;
}

export interface ValueProblem {
  message: string;
  details?: readonly string[];
  /** By default that of an invalid recipe. */
  exitCode?: ExitCode;
  cause?: unknown;
}

export interface LoadOptions {
  /** Overrides, `key.path=value`, in order. */
  set?: readonly string[];
  /** Profiles, in order. */
  profiles?: readonly string[];
  /** For `${env:NAME}`; none by default. */
  environment?: Environment;
  /** How the texts of recipe files are found; by default on disk. */
  read?: ReadText;
}

/**
 * Returns a recipe.
 * @throws RecipeError with every problem of the recipe; DllmError when the file cannot be read
 */
export async function loadRecipe(file: string, options: LoadOptions = {}): Promise<LoadedRecipe> {
  const { root, issues, text, files } = await readLayers(file, options.read);
  return compose({ root, issues, text, file, parents: files.slice(1) }, options);
}

/** Returns a recipe that extends no file from its text; `file` says where it is. */
export function parseRecipe(
  text: string,
  { file, ...options }: Omit<LoadOptions, "read"> & { file: string },
): LoadedRecipe {
  const { root, issues } = parseRecipeFile(text, file);
  return compose({ root, issues, text, file, parents: [] }, options);
}

interface RecipeSource {
  root: MapNode;
  issues: readonly Issue[];
  text: string;
  file: string;
  parents: readonly string[];
}

function compose(
  source: RecipeSource,
  { set = [], profiles = [], environment = {} }: LoadOptions,
): LoadedRecipe {
  const profiled = applyProfiles(source.root, profiles);
  const overrides = parseOverrides(set);
  const overridden = writeOver(profiled.root, overrides.writings);
  const flat = flattenSweep(overridden.root);
  const replaceIn = (root: MapNode) => replaceVariables(root, environment);
  const replaced = replaceIn(flat.root);
  const issues = [source, profiled, overrides, overridden, flat, replaced].flatMap((step) => [
    ...step.issues,
  ]);
  return resolveTree(replaced.root, issues, {
    ...source,
    directory: dirname(resolve(source.file)),
    layers: { profiles, set },
    unreplaced: { root: flat.root, replace: replaceIn },
  });
}

interface Described extends Pick<
  LoadedRecipe,
  "file" | "parents" | "directory" | "text" | "layers"
> {
  /** The tree with its variables still in it, for trials that vary them. */
  unreplaced: { root: MapNode; replace: (root: MapNode) => ReturnType<typeof replaceVariables> };
}

/** What the recipes of a sweep's trials have in common with the recipe of the sweep. */
interface Shared {
  /** The sweep's, without the sweep: a trial has no sweep of its own. */
  recipe: Omit<Recipe, "sweep">;
  dependent: DependentDefaults;
  memo: Memo;
  tree: ReturnType<typeof trialTree>;
}

/** Returns the recipe of a composed tree. @throws RecipeError */
function resolveTree(
  root: MapNode,
  earlier: readonly Issue[],
  described: Described,
  { isTrial = false }: { isTrial?: boolean } = {},
): LoadedRecipe {
  const issues = [...earlier, ...(isTrial ? [] : clashingLayers(root))];
  const problems = validateTree(root);
  // A value that is no usable YAML value has been reported once already.
  const reported = new Set(issues.map(({ at }) => positionKey(at)));
  issues.push(...problems.issues.filter(({ at }) => !reported.has(positionKey(at))));
  if (!isTrial) issues.push(...sweepIssues(root, problems.issues));
  const dependent = dependentDefaults(root);
  const filled = fillDefaults(root, { invalid: problems.invalid, dependent });
  const recipe = withoutKeys(filled, COMPOSITION_KEYS);
  return checkedRecipe({ root, recipe, dependent }, issues, described);
}

/** Returns the recipe of a trial, which has the sections of its sweep that it does not vary. */
function resolveTrial(
  writings: readonly TrialWriting[],
  { shared, described }: { shared: Shared; described: Described },
): LoadedRecipe {
  const { root, issues } = shared.tree(writings);
  const varied = new Set(writings.map(({ path }) => path[0]!));
  const isChecked = issues.length === 0 && areDrawnInRange(root, writings);
  // Both decide the defaults of other sections.
  if (!isChecked || varied.has("edition") || varied.has("model")) {
    return resolveTree(root, issues, described, { isTrial: true });
  }
  const { dependent, memo } = shared;
  const filled = fillSections(root, varied, { invalid: NONE, dependent, memo });
  const recipe: Record<string, unknown> = { ...shared.recipe, ...filled };
  for (const key of varied) if (!(key in filled)) Reflect.deleteProperty(recipe, key);
  return checkedRecipe({ root, recipe, dependent }, [], described);
}

const NONE: ReadonlySet<string> = new Set();

interface FilledTree {
  root: MapNode;
  recipe: DeepPartial<Recipe>;
  dependent: DependentDefaults;
}

function checkedRecipe(
  { root, recipe, dependent }: FilledTree,
  earlier: readonly Issue[],
  described: Described,
): LoadedRecipe {
  const { file, parents, directory, text, layers } = described;
  const issues = [...earlier];
  const places = placesIn(root, dependent, directory);
  const issueAt = (keyPath: string, message: string, details: readonly string[]): Issue => ({
    at: places.positionOf(keyPath),
    message,
    details: [...details, ...places.variableOf(keyPath)],
  });
  checkRecipe({
    recipe,
    isWritten: places.isWritten,
    writerOf: places.writerOf,
    report: (keyPath, message, ...details) => {
      const issue = issueAt(keyPath, message, details);
      // A value of a sweep that its key does not accept has been reported, whatever it is there for.
      const isSwept = keyPath.startsWith("sweep.parameters.");
      const key = positionKey(issue.at);
      if (!isSwept || earlier.every(({ at }) => positionKey(at) !== key)) issues.push(issue);
    },
  });
  if (issues.length > 0) throw new RecipeError(file, mergeEqual(issues));

  // No issue means that nothing was left out.
  const whole = recipe as Recipe;
  let loadTrial: LoadedRecipe["withValues"] | undefined;
  return {
    recipe: deepFreeze(whole),
    file,
    parents,
    directory,
    text,
    layers,
    position: (keyPath) => formatPosition(places.positionOf(keyPath)),
    origin: places.origin,
    directoryOf: places.directoryOf,
    isWritten: places.isWritten,
    provenance: (keyPath) => provenanceOf(root, keyPath, { recipe: whole, dependent }),
    errorAt: (keyPath, { message, details = [], ...options }) =>
      new RecipeError(file, [issueAt(keyPath, message, details)], options),
    at: (keyPath, action) => {
      try {
        return action();
      } catch (error) {
        if (!(error instanceof DllmError) || error instanceof RecipeError) throw error;
        const { message, details, exitCode } = error;
        const issue = issueAt(keyPath, message, details);
        throw new RecipeError(file, [issue], { exitCode, cause: error });
      }
    },
    withValues: (values) => {
      loadTrial ??= trialLoader({ root, recipe: whole, dependent }, described);
      return loadTrial(values);
    },
  };
}

/** Returns the function that loads a sweep's trials. */
function trialLoader(
  { root, recipe, dependent }: FilledTree & { recipe: Recipe },
  described: Described,
): LoadedRecipe["withValues"] {
  const shared: Shared = {
    recipe: withoutKeys(recipe, SWEEP_KEYS),
    dependent,
    memo: createMemo(),
    tree: trialTree(root),
  };
  const writer = trialWriter(root);
  const load = (values: Values): LoadedRecipe => {
    const writings = writer(values);
    // Variables have been replaced in the tree: those that vary are replaced again.
    if (writings.some(({ path }) => path[0] === "vars")) {
      const { unreplaced } = described;
      const written = writeOver(unreplaced.root, writings);
      const replaced = unreplaced.replace(written.root);
      const issues = [...written.issues, ...replaced.issues];
      return resolveTree(replaced.root, issues, described, { isTrial: true });
    }
    return resolveTrial(writings, { shared, described });
  };
  const loadNamed = (values: Values): LoadedRecipe => {
    try {
      return load(values);
    } catch (error) {
      if (!(error instanceof RecipeError)) throw error;
      throw ofTrial(error, values, described.file);
    }
  };
  let quick: ((values: Values) => LoadedRecipe | undefined) | undefined;
  return (values) => {
    const found = quick?.(values);
    if (found !== undefined) return found;
    const loaded = loadNamed(values);
    quick ??= numberTrialLoader(loaded, shared.tree(writer(values)).root, {
      values,
      dependent,
      load: loadNamed,
    });
    return loaded;
  };
}

/** The problems of a trial, whose values say which it is. */
function ofTrial({ issues, exitCode }: RecipeError, values: Values, file: string): RecipeError {
  const shown = Object.entries(values).map(([key, value]) => `${key}: ${JSON.stringify(value)}`);
  const trial = `in the trial with ${shown.join(", ")}`;
  const named = issues.map((issue) => ({ ...issue, details: [...issue.details, trial] }));
  return new RecipeError(file, named, { exitCode });
}

const SWEEP_KEYS: ReadonlySet<string> = new Set(["sweep"]);

function withoutKeys<Whole extends object>(whole: Whole, keys: ReadonlySet<string>): Whole {
  return Object.fromEntries(Object.entries(whole).filter(([key]) => !keys.has(key))) as Whole;
}

/** A variable's value that is wrong wherever it is used is one problem. */
function mergeEqual(issues: readonly Issue[]): Issue[] {
  const merged = new Map<string, Issue>();
  for (const issue of issues) {
    const key = `${positionKey(issue.at)} ${issue.message}`;
    const details = new Set([...(merged.get(key)?.details ?? []), ...issue.details]);
    merged.set(key, { ...issue, details: [...details] });
  }
  return [...merged.values()];
}

function positionKey({ origin, line, column }: Position): string {
  return `${origin.order}:${line}:${column}`;
}
