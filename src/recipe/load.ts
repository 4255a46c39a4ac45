/** @file Recipe files to frozen recipes: read, parse, override, validate, fill, check. */
import { dirname, resolve } from "node:path";
import type { ExitCode } from "../base/errors.js";
import { checkRecipe } from "./checks.js";
import { deepFreeze, fillDefaults } from "./defaults.js";
import { dependentDefaults } from "./dependent-defaults.js";
import { RecipeError, type Issue } from "./issues.js";
import { applyOverrides } from "./overrides.js";
import { parseYaml, readRecipeText } from "./parse.js";
import type { Recipe } from "./schema.js";
import { findNode, formatPosition, makeOrigin } from "./source-tree.js";
import type { MapEntry, MapNode, Position, SourceNode } from "./source-tree.js";
import { validateTree } from "./validate.js";

/** `file` and `override` wrote the value; an edition or preset is named in one of the two. */
export type ValueOrigin = "file" | "override" | "edition" | "preset" | "default";

export interface LoadedRecipe {
  /** Deep frozen, defaults filled in. */
  readonly recipe: Recipe;
  /** The file as it was given. */
  readonly file: string;
  /** Absolute directory of the file: relative paths in the recipe start here. */
  readonly directory: string;
  readonly text: string;
  /**
   * Where a value was written: `file:line:column`, or the `--set` that wrote it; for the default
   * of an edition or a preset, where that is named; for any other, where the closest enclosing
   * section was.
   */
  position(keyPath: string): string;
  /** Who decided a value. */
  origin(keyPath: string): ValueOrigin;
  /** Whether the recipe or a `--set` wrote this key itself. */
  isWritten(keyPath: string): boolean;
  /** Returns the error that a value of this recipe is wrong, shown like all others. */
  errorAt(keyPath: string, problem: ValueProblem): RecipeError;
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
}

/**
 * Returns a recipe.
 * @throws RecipeError with every problem of the recipe; DllmError when the file cannot be read
 */
export async function loadRecipe(file: string, options: LoadOptions = {}): Promise<LoadedRecipe> {
  return parseRecipe(await readRecipeText(file), { file, ...options });
}

/** Returns a recipe from its text; `file` says where it is. */
export function parseRecipe(
  text: string,
  { file, set = [] }: LoadOptions & { file: string },
): LoadedRecipe {
  const parsed = parseYaml(text, { kind: "file", label: file, order: 0 });
  const written = rootMap(parsed.root, file, text);
  const { root, issues: overrideIssues } = applyOverrides(written, set);
  const issues: Issue[] = [...parsed.issues, ...overrideIssues];

  const problems = validateTree(root);
  // A value that is no usable YAML value has been reported once already.
  const reported = new Set(issues.map(({ at }) => positionKey(at)));
  issues.push(...problems.issues.filter(({ at }) => !reported.has(positionKey(at))));

  const dependent = dependentDefaults(root);
  const recipe = fillDefaults(root, { invalid: problems.invalid, dependent });
  const isWritten = (keyPath: string) => findNode(root, splitPath(keyPath)).exact;
  /** The edition or preset that decides a value, if one does. */
  const namedDecider = (keyPath: string) => {
    const decider = isWritten(keyPath) ? undefined : dependent.get(keyPath)?.decider;
    return decider === "edition" || decider === "model.preset" ? decider : undefined;
  };
  const positionOf = (keyPath: string) => valuePosition(root, namedDecider(keyPath) ?? keyPath);
  checkRecipe({
    recipe,
    isWritten,
    report: (keyPath, message, ...details) => {
      issues.push({ at: positionOf(keyPath), message, details });
    },
  });
  if (issues.length > 0) throw new RecipeError(file, issues);

  return {
    // No issue means that nothing was left out.
    recipe: deepFreeze(recipe as Recipe),
    file,
    directory: dirname(resolve(file)),
    text,
    position: (keyPath) => formatPosition(positionOf(keyPath)),
    origin: (keyPath) => {
      if (isWritten(keyPath)) return valuePosition(root, keyPath).origin.kind;
      const decider = namedDecider(keyPath);
      if (decider === undefined) return "default";
      return decider === "edition" ? "edition" : "preset";
    },
    isWritten,
    errorAt: (keyPath, { message, details = [], ...options }) =>
      new RecipeError(file, [{ at: positionOf(keyPath), message, details }], options),
  };
}

function rootMap(root: SourceNode | undefined, file: string, text: string): MapNode {
  if (root?.type === "map") return root;
  const origin = makeOrigin("file", file, text, 0);
  const at: Position = root?.at ?? { origin, line: 1, column: 1, length: 1 };
  if (root === undefined || (root.type === "scalar" && root.value === null)) {
    return { type: "map", entries: new Map<string, MapEntry>(), at };
  }
  const message = `the recipe is a ${root.type === "list" ? "list" : "single value"}, expected keys`;
  throw new RecipeError(file, [{ at: { ...at, length: 1 }, message, details: [] }]);
}

function splitPath(keyPath: string): string[] {
  return keyPath === "" ? [] : keyPath.split(".");
}

/** The position of a scalar or list is where it begins; of a section, where its key is. */
function valuePosition(root: SourceNode, keyPath: string): Position {
  const { keyAt, node } = findNode(root, splitPath(keyPath));
  if (node.type === "map") return keyAt ?? { ...node.at, length: 1 };
  return node.at;
}

function positionKey({ origin, line, column }: Position): string {
  return `${origin.order}:${line}:${column}`;
}
