/** @file Recipes and the `dllm.lock` beside them. */
import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { DllmError, ExitCode } from "../base/errors.js";
import { readJson } from "../base/fs.js";
import { sanitize } from "../base/sanitize.js";
import {
  lockDrift,
  lockedRecipe,
  withoutCommit,
  type LockFile,
  type LockedRecipe,
} from "../plan/lock.js";
import type { Pins } from "../plan/pins.js";
import type { LoadedRecipe } from "../recipe/load.js";
import type { CommandIo } from "./command.js";
import { pinInputs, type KnownCommits, type PinnedInputs } from "../stages/pins.js";

const LOCK_FILE = "dllm.lock";

/** Returns the path of the lock of a recipe. */
export function lockPath({ file }: LoadedRecipe): string {
  return join(dirname(file), LOCK_FILE);
}

/** Returns a lock file; an absent one locks nothing. @throws DllmError 65, 78 */
export function readLock(path: string): LockFile {
  if (!existsSync(path)) return { schema: 1, recipes: {} };
  const lock = readJson(path) as Partial<LockFile> | null;
  if (typeof lock?.schema !== "number" || typeof lock.recipes !== "object") {
    throw new DllmError(`${path} is no lock file`, {
      exitCode: ExitCode.invalidInput,
      details: ["write it anew with dllm lock <recipe>"],
    });
  }
  if (lock.schema > 1) {
    throw new DllmError(`${path} was written by a newer version of dllm`, {
      exitCode: ExitCode.environment,
      details: ["install that version, or write it anew with dllm lock <recipe>"],
    });
  }
  return lock as LockFile;
}

/** Returns the commits that a recipe's lock says its hub sources are at. */
export function lockedCommits(loaded: LoadedRecipe): KnownCommits {
  return commitsOf(readLock(lockPath(loaded)).recipes[loaded.recipe.name]);
}

/** Returns a recipe's inputs, its hub sources at the commits of its lock. */
export async function pinLocked(loaded: LoadedRecipe): Promise<PinnedInputs> {
  return pinInputs(loaded, lockedCommits(loaded));
}

/**
 * Returns a recipe's inputs, its hub sources at the commits of its lock, or at what the hub says
 * their branches are now. Asks the network only for commits that nothing else says.
 * @throws DllmError 69 when the hub does not answer
 */
export async function resolveLocked(loaded: LoadedRecipe, io: CommandIo): Promise<PinnedInputs> {
  return resolveWith(loaded, lockedCommits(loaded), io);
}

/** Returns a recipe's inputs, its hub sources at the commits that the hub says they are now. */
export async function resolveAnew(loaded: LoadedRecipe, io: CommandIo): Promise<PinnedInputs> {
  return resolveWith(loaded, {}, io);
}

async function resolveWith(
  loaded: LoadedRecipe,
  known: KnownCommits,
  io: CommandIo,
): Promise<PinnedInputs> {
  const pinned = await pinInputs(loaded, known);
  if (withoutCommit(pinned.pins).length === 0) return pinned;
  // Only here is the hub's client needed.
  const [{ openHub }, { readHubSettings }, { resolveInputs }] = await Promise.all([
    import("../hub/hub.js"),
    import("../hub/settings.js"),
    import("../stages/resolve-inputs.js"),
  ]);
  const hub = openHub(readHubSettings(process.env), { log: (line) => io.err(sanitize(line)) });
  return resolveInputs(loaded, { hub, known });
}

function commitsOf(locked: LockedRecipe | undefined): KnownCommits {
  const sources = Object.entries(locked?.sources ?? {});
  return Object.fromEntries(
    sources.flatMap(([name, source]) => {
      // A tokenizer is of a model's repository.
      const known = name.replace(/^tokenizer /, "model ");
      return "commit" in source ? [[known, source] as const] : [];
    }),
  );
}

/**
 * Refuses a recipe that is not what its lock says.
 * @throws DllmError 4 with every difference, or when it is not locked
 */
export function refuseDrift(loaded: LoadedRecipe, pins: Pins): void {
  const path = lockPath(loaded);
  const { name } = loaded.recipe;
  const locked = readLock(path).recipes[name];
  const update = `to accept: dllm lock ${loaded.file}`;
  if (locked === undefined) {
    throw new DllmError(`${path} does not lock ${name}`, {
      exitCode: ExitCode.cannotFit,
      details: [`lock it with: dllm lock ${loaded.file}`],
    });
  }
  const drift = [
    ...withoutCommit(pins).map((source) => `${source}: its commit is not locked`),
    ...lockDrift(locked, lockedRecipe(loaded, pins)),
  ];
  if (drift.length === 0) return;
  throw new DllmError(
    `${name} is not what ${path} says: ${drift.length} difference${drift.length === 1 ? "" : "s"}`,
    { exitCode: ExitCode.cannotFit, details: [...drift, update] },
  );
}
