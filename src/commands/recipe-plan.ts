/** @file The plan of a recipe file against a runs directory: what `plan` shows and `run` does. */
import { existsSync, readdirSync } from "node:fs";
import { resolve } from "node:path";
import { DllmError, ExitCode } from "../base/errors.js";
import { readJson } from "../base/fs.js";
import { planRun, type Plan } from "../plan/plan.js";
import { loadRecipe, type LoadedRecipe } from "../recipe/load.js";
import { runPaths, storeDirectory, type RunPaths } from "../run/run-paths.js";
import { openStore, type Store } from "../run/store.js";
import type { PinnedInputs } from "../stages/pins.js";
import type { RecipeOptions } from "./command.js";
import { pinLocked, refuseDrift } from "./locked.js";

export interface RecipePlan {
  loaded: LoadedRecipe;
  plan: Plan;
  /** What `plan` was compared with: the plan of the run before. */
  previous: Plan | undefined;
  pinned: PinnedInputs;
  store: Store;
  paths: RunPaths;
}

/**
 * Returns a recipe with the profiles and overrides of a command line.
 * @param overrides what comes after the recipe: `key=value`, as with `--set`
 * @throws DllmError 2 for an argument that is no override
 */
export async function loadWithOptions(
  file: string,
  overrides: readonly string[],
  { set, profile }: RecipeOptions,
): Promise<LoadedRecipe> {
  const stray = overrides.find((override) => !override.includes("="));
  if (stray !== undefined) {
    throw new DllmError(`unexpected argument ${stray}`, {
      exitCode: ExitCode.usage,
      details: ["after the recipe come values to write over it, as in sft.learning_rate=3e-4"],
    });
  }
  const all = [...set, ...overrides];
  return loadRecipe(file, { set: all, profiles: profile, environment: process.env });
}

/**
 * Returns the plan of a recipe; reads, and writes nothing.
 * @param pin how its inputs are found; by default without the network
 * @throws DllmError 4 with `frozen`, when the recipe is not what its lock says
 */
export async function makePlan(
  loaded: LoadedRecipe,
  { runs, frozen = false }: { runs: string; frozen?: boolean },
  pin: (loaded: LoadedRecipe) => Promise<PinnedInputs> = pinLocked,
): Promise<RecipePlan> {
  const runsRoot = resolve(runs);
  const paths = runPaths(runsRoot, loaded.recipe.name);
  const store = openStore(runsRoot);
  const pinned = await pin(loaded);
  if (frozen) refuseDrift(loaded, pinned.pins);
  const previous = readPreviousPlan(paths.plan);
  const stored = new Set(
    existsSync(storeDirectory(runsRoot)) ? readdirSync(storeDirectory(runsRoot)) : [],
  );
  const plan = planRun({
    loaded,
    ...pinned,
    existing: (fingerprint) => (stored.has(fingerprint) ? store.existing(fingerprint) : undefined),
    previous,
  });
  const { set, profiles } = loaded.layers;
  const invocation = { recipe: resolve(loaded.file), set, profiles };
  return { loaded, plan: { ...plan, invocation }, previous, pinned, store, paths };
}

/** The plan of the run before; one of another version cannot be compared and counts as none. */
function readPreviousPlan(file: string): Plan | undefined {
  if (!existsSync(file)) return undefined;
  const plan = readJson(file);
  const isPlan = typeof plan === "object" && plan !== null && "schema" in plan && plan.schema === 1;
  return isPlan ? (plan as unknown as Plan) : undefined;
}
