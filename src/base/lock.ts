/**
 * @file A lock that the kernel releases when its holder dies, however it dies. Node has no
 * flock(2), so flock(1) takes it on a descriptor that it inherits from us: the lock belongs to
 * the open file, stays with this process, and is not inherited by its other children.
 * Without flock(1), or where the file system refuses it, owner-file.ts is the fallback.
 */
import { spawn } from "node:child_process";
import { closeSync, constants, openSync } from "node:fs";
import { rm } from "node:fs/promises";
import { DllmError, ExitCode, errorCode } from "./errors.js";
import { ioError, readJson, writeJson } from "./files.js";
import { takeOwnerFile } from "./owner-file.js";
import { processState, thisProcess, type ProcessIdentity } from "./process-identity.js";
import { startError } from "./start-error.js";

/** Who holds a lock, as written beside it in `<lock>.json`; information only. */
export interface LockHolder extends ProcessIdentity {
  command: string;
  /** UTC, RFC 3339. */
  since: string;
}

export interface Lock {
  release(): Promise<void>;
}

export interface LockOptions {
  /** What the lock protects, for the message: `runs/quickstart`. */
  what: string;
  /** Waits for the holder instead of refusing; called once when there is one. */
  onWait?: (holder: LockHolder | undefined) => void;
  /** Ends the waiting. */
  signal?: AbortSignal;
  /** What the holder is, for others; the command line unless given: `stage sft`. */
  holder?: string;
  /** How the holder is stopped: a command. */
  stopWith?: string;
}

/** Returns who was last noted as the holder, if that process still runs (or cannot be asked). */
export function lockHolder(path: string): LockHolder | undefined {
  try {
    const holder = readJson(`${path}.json`) as LockHolder;
    return processState(holder) === "dead" ? undefined : holder;
  } catch {
    return undefined;
  }
}

/** One line about a holder: `pid 12 on host since … (command)`. */
export function describeHolder(holder: LockHolder | undefined): string {
  if (!holder) return "an unknown process";
  return `process ${holder.pid} on ${holder.host} since ${holder.since} (${holder.command})`;
}

/**
 * Takes a lock for the rest of this process's life, or until release().
 * @throws DllmError 75 naming the holder when it is taken (without onWait) or waiting was ended,
 * 75 or 78 when flock(1) is there and cannot be started
 */
export async function acquireLock(path: string, options: LockOptions): Promise<Lock> {
  let lock = await tryLock(path, { wait: false });
  if (lock === "busy" && options.onWait) {
    options.onWait(lockHolder(path));
    lock = await tryLock(path, {
      wait: true,
      ...(options.signal ? { signal: options.signal } : {}),
    });
  }
  if (lock === "busy") {
    throw new DllmError(`${options.what} is in use by ${describeHolder(lockHolder(path))}`, {
      exitCode: ExitCode.temporary,
      details: [
        options.stopWith === undefined
          ? "wait until it ends, or stop it, and run the command again"
          : `wait until it ends, or stop it with: ${options.stopWith}`,
      ],
    });
  }
  const holder: LockHolder = {
    ...thisProcess(),
    command: options.holder ?? ["dllm", ...process.argv.slice(2)].join(" "),
    since: new Date().toISOString(),
  };
  const held = lock;
  await writeJson(`${path}.json`, holder);
  return {
    async release() {
      await rm(`${path}.json`, { force: true });
      await held.release();
    },
  };
}

interface Attempt {
  wait: boolean;
  signal?: AbortSignal;
}

async function tryLock(path: string, attempt: Attempt): Promise<Lock | "busy"> {
  // A plain descriptor: a FileHandle would be closed, and unlock, when it is garbage-collected.
  let descriptor: number;
  try {
    // Never through a symbolic link: the name is ours.
    const flags = constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW;
    descriptor = openSync(path, flags, 0o600);
  } catch (error) {
    throw ioError("create the lock file", path, error);
  }
  const answer = await runFlock(descriptor, attempt).catch((error: unknown) => {
    closeSync(descriptor);
    throw error;
  });
  if (answer === "held") {
    return {
      release() {
        closeSync(descriptor);
        return Promise.resolve();
      },
    };
  }
  closeSync(descriptor);
  return answer === "busy" ? "busy" : takeOwnerFile(`${path}.owner`, attempt);
}

const BUSY = 75;

function runFlock(
  descriptor: number,
  { wait, signal }: Attempt,
): Promise<"held" | "busy" | "unsupported"> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) {
      resolve("busy");
      return;
    }
    const flags = wait ? ["-x"] : ["-x", "-n", "-E", String(BUSY)];
    const child = spawn("flock", [...flags, "3"], {
      stdio: ["ignore", "ignore", "ignore", descriptor],
    });
    const abort = () => child.kill("SIGKILL");
    signal?.addEventListener("abort", abort);
    const settle = (answer: "held" | "busy" | "unsupported") => {
      signal?.removeEventListener("abort", abort);
      resolve(answer);
    };
    child.once("error", (error) => {
      // Only where there is none is the fallback right: while other processes use flock, an owner
      // file would be a second lock beside theirs.
      if (errorCode(error) === "ENOENT") settle("unsupported");
      else reject(startError("flock", error));
    });
    child.once("exit", (code) => {
      if (code === 0) settle("held");
      // Ended by a signal (ours, or one to our process group): says nothing about the lock.
      else settle(code === BUSY || code === null ? "busy" : "unsupported");
    });
  });
}
