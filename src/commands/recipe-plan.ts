/** @file The plan of a recipe file against a runs directory: what `plan` shows and `run` does. */
import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { readJson } from "../base/fs.js";
import { planRun, type Plan } from "../plan/plan.js";
import { loadRecipe, type LoadedRecipe } from "../recipe/load.js";
import { runPaths, type RunPaths } from "../run/run-paths.js";
import { openStore, type Store } from "../run/store.js";
import { pinInputs, type PinnedInputs } from "../stages/pins.js";

export interface RecipePlan {
  loaded: LoadedRecipe;
  plan: Plan;
  /** What `plan` was compared with: the plan of the run before. */
  previous: Plan | undefined;
  pinned: PinnedInputs;
  store: Store;
  paths: RunPaths;
}

/** Returns the plan of a recipe; reads, and writes nothing. */
export async function makePlan(
  file: string,
  { set, runs }: { set: readonly string[]; runs: string },
): Promise<RecipePlan> {
  const loaded = await loadRecipe(file, { set });
  const runsRoot = resolve(runs);
  const paths = runPaths(runsRoot, loaded.recipe.name);
  const store = openStore(runsRoot);
  const pinned = await pinInputs(loaded);
  const previous = readPreviousPlan(paths.plan);
  const plan = planRun({
    loaded,
    ...pinned,
    existing: (fingerprint) => store.existing(fingerprint),
    previous,
  });
  const invocation = { recipe: resolve(file), set };
  return { loaded, plan: { ...plan, invocation }, previous, pinned, store, paths };
}

/** The plan of the run before; one of another version cannot be compared and counts as none. */
function readPreviousPlan(file: string): Plan | undefined {
  if (!existsSync(file)) return undefined;
  const plan = readJson(file);
  const isPlan = typeof plan === "object" && plan !== null && "schema" in plan && plan.schema === 1;
  return isPlan ? (plan as unknown as Plan) : undefined;
}
