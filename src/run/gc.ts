/**
 * @file Removing from the store what no run refers to. What a run refers to is in its plan, its
 * links, and, for as many executions as are to be kept, in its journal. A run writes its plan under
 * the store's lock (see store.ts), so that it cannot refer to what is being removed.
 */
import { existsSync, lstatSync, readdirSync, readlinkSync } from "node:fs";
import { basename, join } from "node:path";
import { DllmError, ExitCode } from "../base/errors.js";
import { removePath, renamePath, trashPath } from "../base/fs.js";
import { acquireLock } from "../base/lock.js";
import { isLeftover } from "../base/quarantine.js";
import { stageFiles } from "../plan/stage-files.js";
import { listRuns } from "../report/run-data.js";
import { readJournal } from "./journal.js";
import { isFingerprint, readPlan } from "./read-plan.js";
import { runPaths, storeDirectory, storeLock } from "./run-paths.js";
import { openStore } from "./store.js";

export interface Garbage {
  path: string;
  what: "stage" | "checkpoints" | "leftover";
  /** On the disk. */
  bytes: number;
}

export interface GarbageOptions {
  /** Absolute. */
  runsRoot: string;
  /** How many executions of each run keep what they referred to; 1 is the present plan alone. */
  keep: number;
  /** Whether the checkpoints of finished stages go too. */
  checkpoints: boolean;
}

/**
 * Returns what can be removed; writes nothing.
 * @throws DllmError 65 when a run cannot say what it refers to: then nothing is garbage for sure
 */
export function findGarbage(options: GarbageOptions): Garbage[] {
  const { runsRoot, checkpoints } = options;
  const stages = storeDirectory(runsRoot);
  if (!existsSync(stages)) return [];
  const kept = referredTo(options);
  const store = openStore(runsRoot);
  const garbage = (what: Garbage["what"], path: string): Garbage => {
    return { path, what, bytes: diskUsage(path) };
  };
  return readdirSync(stages, { withFileTypes: true })
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .flatMap((entry) => {
      const { name } = entry;
      const path = join(stages, name);
      if (isLeftover({ name, isDirectory: entry.isDirectory() }))
        return [garbage("leftover", path)];
      // What is not named by a fingerprint is not ours to remove.
      if (!isFingerprint(name)) return [];
      if (!kept.has(name)) return [garbage("stage", path)];
      const resumable = join(path, stageFiles.checkpoints);
      // Only of artifacts that verify: a checkpoint may be what is left of a damaged one.
      return checkpoints && existsSync(resumable) && store.finished(name)
        ? [garbage("checkpoints", resumable)]
        : [];
    });
}

/** Returns the fingerprints that the runs of a directory refer to. */
function referredTo({ runsRoot, keep }: GarbageOptions): Set<string> {
  const fingerprints = new Set<string>();
  for (const name of listRuns(runsRoot)) {
    const paths = runPaths(runsRoot, name);
    for (const { fingerprint } of planOf(paths.directory).stages) fingerprints.add(fingerprint);
    const links = existsSync(paths.stages) ? readdirSync(paths.stages) : [];
    for (const link of links) fingerprints.add(linkTarget(join(paths.stages, link)));
    const executions = readJournal(paths).records.flatMap((event) =>
      event.event === "run-started" ? [event.stages] : [],
    );
    for (const stages of executions.slice(-keep)) {
      for (const { fingerprint } of stages) fingerprints.add(fingerprint);
    }
  }
  return fingerprints;
}

function planOf(directory: string): ReturnType<typeof readPlan> {
  try {
    return readPlan(directory);
  } catch (error) {
    if (!(error instanceof DllmError)) throw error;
    throw new DllmError(error.message, {
      exitCode: error.exitCode,
      details: [
        "what this run refers to is unknown, so nothing can be removed",
        "run its recipe again, or remove the run's directory",
      ],
      cause: error,
    });
  }
}

function linkTarget(path: string): string {
  try {
    return basename(readlinkSync(path));
  } catch {
    return "";
  }
}

function diskUsage(path: string): number {
  const stats = lstatSync(path);
  const below = stats.isDirectory() ? readdirSync(path) : [];
  return below.reduce((sum, name) => sum + diskUsage(join(path, name)), stats.blocks * 512);
}

export interface Removed {
  removed: Garbage[];
  /** In use, or referred to since it was found. */
  spared: Garbage[];
}

/** Removes what was found, but for what a run has begun to use or to refer to since. */
export async function removeGarbage(
  found: readonly Garbage[],
  options: GarbageOptions,
): Promise<Removed> {
  const removed: Garbage[] = [];
  const spared: Garbage[] = [];
  const trash: string[] = [];
  const lock = await acquireLock(storeLock(options.runsRoot), {
    what: `the store of ${options.runsRoot}`,
    onWait: () => undefined,
  });
  try {
    const still = new Set(findGarbage(options).map(({ path }) => path));
    for (const garbage of found) {
      const aside = still.has(garbage.path) ? await throwAway(garbage) : undefined;
      if (aside !== undefined) trash.push(aside);
      (aside === undefined ? spared : removed).push(garbage);
    }
  } finally {
    await lock.release();
  }
  // It has lost its name: nobody needs to wait for the rest.
  for (const path of trash) await removePath(path);
  return { removed, spared };
}

/** Takes a thing's name from it; undefined when a process works on it. */
async function throwAway({ path, what }: Garbage): Promise<string | undefined> {
  if (what === "leftover") return path;
  const working = what === "stage" ? path : join(path, "..");
  try {
    const lock = await acquireLock(join(working, stageFiles.lock), { what: working });
    try {
      const aside = trashPath(path);
      await renamePath(path, aside);
      return aside;
    } finally {
      await lock.release();
    }
  } catch (error) {
    if (error instanceof DllmError && error.exitCode === ExitCode.temporary) return undefined;
    throw error;
  }
}
