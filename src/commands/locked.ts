/** @file Recipes and the `dllm.lock` beside them. */
import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { DllmError, ExitCode } from "../base/errors.js";
import { readJson } from "../base/fs.js";
import type { Json } from "../base/json.js";
import { sanitize } from "../base/sanitize.js";
import { isObject } from "../plan/changes.js";
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

/** Returns a lock file, checked; an absent one locks nothing. @throws DllmError 65, 74, 78 */
export function readLock(path: string): LockFile {
  if (!existsSync(path)) return { schema: 1, recipes: {} };
  const lock = readLockJson(path);
  if (isObject(lock) && typeof lock["schema"] === "number" && lock["schema"] > 1) {
    throw new DllmError(`${path} was written by a newer version of dllm`, {
      exitCode: ExitCode.environment,
      details: [`install that version, or ${RESTORE}`],
    });
  }
  const problem = lockProblem(lock);
  if (problem !== undefined) throw brokenLock(path, problem);
  return lock as unknown as LockFile;
}

/** What to do with a lock that cannot be used: it may say what other recipes were, too. */
const RESTORE = "bring the file back from version control, or remove it and run dllm lock <recipe>";

function brokenLock(path: string, problem: string, cause?: unknown): DllmError {
  return new DllmError(`${path} is no lock file: ${problem}`, {
    exitCode: ExitCode.invalidInput,
    details: [RESTORE],
    cause,
  });
}

function readLockJson(path: string): Json {
  try {
    return readJson(path) as Json;
  } catch (error) {
    if (!(error instanceof DllmError) || error.exitCode !== ExitCode.invalidInput) throw error;
    throw brokenLock(path, "it is not valid JSON", error);
  }
}

/** Says what is wrong with the content of a lock file; undefined where nothing is. */
function lockProblem(lock: Json): string | undefined {
  if (!isObject(lock) || lock["schema"] !== 1) return 'it has no "schema": 1';
  const recipes = lock["recipes"];
  if (!isObject(recipes)) return '"recipes" is no object';
  for (const [name, recipe] of Object.entries(recipes)) {
    const at = `recipe ${JSON.stringify(name)}`;
    if (!isObject(recipe)) return `${at} is no object`;
    if (!isObject(recipe["defaults"])) return `${at} has no object "defaults"`;
    if (!isObject(recipe["sources"])) return `${at} has no object "sources"`;
    const wrong = Object.entries(recipe["sources"]).find(([, source]) => !isSource(source));
    if (wrong !== undefined) return `${at} says no commit or sha256 of ${wrong[0]}`;
  }
  return undefined;
}

function isSource(source: Json | undefined): boolean {
  if (!isObject(source)) return false;
  const { revision, commit, sha256 } = source;
  if (typeof sha256 === "string") return true;
  return typeof revision === "string" && typeof commit === "string";
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
