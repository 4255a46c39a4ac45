/**
 * @file Links from a run to the working directories of its stages in the store: `stages/<id>`,
 * and of a sweep also `trials/<trial>/stages/<id within the trial>`.
 */
import { readdirSync, readlinkSync } from "node:fs";
import { join, relative } from "node:path";
import { linkAtomic, makeDirectory, removePath } from "../base/fs.js";
import type { Plan } from "../plan/plan.js";
import type { RunPaths } from "./run-paths.js";
import type { Store } from "./store.js";

/** Makes the links of a plan, and removes those of what it does not have. */
export async function linkStages(plan: Plan, store: Store, paths: RunPaths): Promise<void> {
  const fingerprints = new Map(plan.stages.map(({ id, fingerprint }) => [id, fingerprint]));
  for (const fingerprint of new Set(fingerprints.values())) {
    await makeDirectory(store.directory(fingerprint));
  }
  await linkAll(paths.stages, fingerprints, store);
  const trials = new Map(plan.sweep?.trials.map((trial) => [trial.id, trial]));
  for (const name of namesIn(paths.trials)) {
    if (!trials.has(name)) await unlinkTrial(join(paths.trials, name));
  }
  for (const trial of trials.values()) {
    const links = Object.entries(trial.stages).flatMap(([local, id]) => {
      const fingerprint = fingerprints.get(id);
      return fingerprint === undefined ? [] : [[local, fingerprint] as const];
    });
    await linkAll(join(paths.trials, trial.id, "stages"), new Map(links), store);
  }
}

async function linkAll(
  directory: string,
  fingerprints: ReadonlyMap<string, string>,
  store: Store,
): Promise<void> {
  await makeDirectory(directory);
  const there = new Set(namesIn(directory));
  for (const name of there) {
    if (!fingerprints.has(name)) await removePath(join(directory, name));
  }
  for (const [name, fingerprint] of fingerprints) {
    const target = relative(directory, store.directory(fingerprint));
    const path = join(directory, name);
    // Most are there from the run before; each change costs several writes.
    if (!there.has(name) || linkTarget(path) !== target) await linkAtomic(path, target);
  }
}

/** A trial that is no more loses its links; a decision about it is kept, it may come back. */
async function unlinkTrial(directory: string): Promise<void> {
  await removePath(join(directory, "stages"));
  if (namesIn(directory).length === 0) await removePath(directory);
}

function namesIn(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
}

function linkTarget(path: string): string | undefined {
  try {
    return readlinkSync(path);
  } catch {
    return undefined;
  }
}
