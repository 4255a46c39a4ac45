/**
 * @file The lock used where flock does not work (no flock(1); some network file systems): a file
 * that names its owner. It is stale only when its owner is certainly gone from this host, never
 * by age; an owner on another host is believed.
 */
import { randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import { link, rename, rm } from "node:fs/promises";
import { setTimeout as delay } from "node:timers/promises";
import { errorCode } from "./errors.js";
import { ioError, temporaryPath, writeFile } from "./files.js";
import { processState, thisProcess, type ProcessIdentity } from "./process-identity.js";

interface Owner extends ProcessIdentity {
  nonce: string;
}

const POLL_MS = 200;

/** Takes the file, waiting for its owner to go when asked to. */
export async function takeOwnerFile(
  path: string,
  { wait, signal }: { wait: boolean; signal?: AbortSignal },
): Promise<{ release(): Promise<void> } | "busy"> {
  const owner: Owner = { ...thisProcess(), nonce: randomUUID() };
  for (;;) {
    if (await create(path, owner)) return { release: () => rm(path, { force: true }) };
    if (await removeStale(path)) continue;
    if (!wait || signal?.aborted) return "busy";
    await delay(POLL_MS);
  }
}

/** A hard link makes the file appear whole, or fails because there is one. */
async function create(path: string, owner: Owner): Promise<boolean> {
  const temporary = temporaryPath(path);
  try {
    await writeFile(temporary, JSON.stringify(owner));
    await link(temporary, path);
    return true;
  } catch (error) {
    if (errorCode(error) === "EEXIST") return false;
    throw ioError("create the lock file", path, error);
  } finally {
    await rm(temporary, { force: true });
  }
}

function readOwner(path: string): Owner | undefined {
  try {
    return JSON.parse(readFileSync(path, "utf8")) as Owner;
  } catch {
    return undefined;
  }
}

/** Removes the file if its owner is dead; true when the name may be free now. */
async function removeStale(path: string): Promise<boolean> {
  const judged = readOwner(path);
  if (judged && processState(judged) !== "dead") return false;
  const aside = temporaryPath(path);
  try {
    await rename(path, aside);
  } catch (error) {
    if (errorCode(error) === "ENOENT") return true;
    throw ioError("remove the stale lock file", path, error);
  }
  // Between the judgement and the rename another process may have taken it: give it back.
  if (readOwner(aside)?.nonce !== judged?.nonce) {
    await link(aside, path).catch(() => undefined);
  }
  await rm(aside, { force: true });
  return true;
}
