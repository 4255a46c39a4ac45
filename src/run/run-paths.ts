/** @file Where a run keeps its files: `<runs root>/<recipe name>/…` and the shared store. */
import { join } from "node:path";

export interface RunPaths {
  directory: string;
  plan: string;
  recipe: string;
  journal: string;
  tornJournal: string;
  report: string;
  lock: string;
  /** Links to the working directories of the run's stages. */
  stages: string;
  /** One directory per trial of a sweep. */
  trials: string;
}

export function runPaths(runsRoot: string, name: string): RunPaths {
  const directory = join(runsRoot, name);
  return {
    directory,
    plan: join(directory, "plan.json"),
    recipe: join(directory, "recipe.resolved.json"),
    journal: join(directory, "journal.jsonl"),
    tornJournal: join(directory, "journal.torn"),
    report: join(directory, "report.html"),
    lock: join(directory, "run.lock"),
    stages: join(directory, "stages"),
    trials: join(directory, "trials"),
  };
}

/** Directory of the working directories of all stages of all runs, by fingerprint. */
export function storeDirectory(runsRoot: string): string {
  return join(runsRoot, ".store", "stages");
}

/** Held while a run begins to refer to the store, and while garbage is removed from it. */
export function storeLock(runsRoot: string): string {
  return join(runsRoot, ".store", "store.lock");
}
