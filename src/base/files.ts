/**
 * @file The file system operations that change something, each with a fault point and with
 * errors that say what to do. Import them through fs.ts.
 */
import { createHash } from "node:crypto";
import {
  closeSync,
  existsSync,
  openSync,
  readFileSync,
  readSync,
  renameSync,
  rmSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { mkdir, open, rename, rm, stat, symlink, type FileHandle } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { DllmError, ExitCode, errorCode, errorMessage } from "./errors.js";
import { faultPoint, killThisProcess, type FaultPoint } from "./fault.js";

/** Bytes to write, whole or in pieces that are made on demand. */
export type FileData = string | Uint8Array | Iterable<Uint8Array> | AsyncIterable<Uint8Array>;

const READ_BYTES = 1 << 20;

const ioExitCodes: Record<string, ExitCode> = {
  ENOENT: ExitCode.notFound,
  EACCES: ExitCode.noPermission,
  EPERM: ExitCode.noPermission,
  EROFS: ExitCode.cannotCreate,
  EEXIST: ExitCode.cannotCreate,
  ENOTDIR: ExitCode.cannotCreate,
  ENOTEMPTY: ExitCode.cannotCreate,
  ENAMETOOLONG: ExitCode.cannotCreate,
};

const ioHints: Record<string, string> = {
  ENOSPC: "the disk is full: free some space and run the command again",
  EDQUOT: "the disk quota is used up: free some space and run the command again",
  EACCES: "you lack the permission for it",
  EPERM: "you lack the permission for it",
  EROFS: "the file system is read-only",
  EMFILE: "too many open files: raise the limit (ulimit -n)",
};

/** Returns a failed file operation as a DllmError: 66, 73, 77, or 74 for everything else. */
export function ioError(action: string, path: string, cause: unknown): DllmError {
  if (cause instanceof DllmError) return cause;
  const code = errorCode(cause) ?? "";
  const hint = ioHints[code];
  return new DllmError(`cannot ${action} ${path}: ${errorMessage(cause)}`, {
    exitCode: ioExitCodes[code] ?? ExitCode.ioError,
    details: hint === undefined ? [] : [hint],
    cause,
  });
}

async function guarded<T>(
  point: FaultPoint,
  action: string,
  path: string,
  operation: (torn: boolean) => Promise<T>,
): Promise<T> {
  try {
    return await operation(faultPoint(point, path));
  } catch (error) {
    throw ioError(action, path, error);
  }
}

let temporaryNames = 0;

/** Returns a name in the same directory that no other process uses: `.tmp-<pid>-<n>`. */
export function temporaryPath(target: string): string {
  return join(dirname(target), `.tmp-${process.pid}-${++temporaryNames}`);
}

/** Creates a directory and its missing parents, private to the user; existing ones are kept. */
export async function makeDirectory(path: string): Promise<void> {
  await guarded("mkdir", "create the directory", path, () => makeWithParents(path));
}

/** Not `recursive: true`: where a parent exists but cannot hold it (/proc), Node loops forever. */
async function makeWithParents(path: string): Promise<void> {
  const missing: string[] = [];
  for (let at = resolve(path); !existsSync(at); at = dirname(at)) missing.push(at);
  for (const directory of missing.reverse()) {
    await mkdir(directory, { mode: 0o700 }).catch((error: unknown) => {
      if (errorCode(error) === "EEXIST") return; // another process was quicker
      if (errorCode(error) !== "ENOENT") throw error;
      // The parent is there and yet does not take it: a file system without files of users.
      throw Object.assign(new Error("nothing can be created there"), { code: "EROFS" });
    });
  }
  if (missing.length === 0 && !(await stat(path)).isDirectory()) {
    throw Object.assign(new Error("a file is in the way"), { code: "EEXIST" });
  }
}

/** Renames within one file system. */
export async function renamePath(from: string, to: string): Promise<void> {
  await guarded("rename", `rename ${from} to`, to, () => rename(from, to));
}

/** Removes a file or a directory with its content; absent is fine. */
export async function removePath(path: string): Promise<void> {
  await guarded("remove", "remove", path, () => rm(path, { recursive: true, force: true }));
}

/** Forces a file's or directory's content to the disk. */
export async function syncPath(path: string): Promise<void> {
  await guarded("fsync", "force to the disk", path, async () => {
    const handle = await open(path, "r");
    try {
      await handle.sync();
    } finally {
      await handle.close();
    }
  });
}

async function writeAll(handle: FileHandle, bytes: Uint8Array): Promise<void> {
  for (let offset = 0; offset < bytes.length;) {
    const { bytesWritten } = await handle.write(bytes, offset);
    offset += bytesWritten;
  }
}

/**
 * Writes a file in place and forces it to the disk. Only for files inside a directory that is
 * not published yet; a final name needs writeFileAtomic or publishDirectory.
 */
export async function writeFile(path: string, data: FileData): Promise<void> {
  const pieces =
    typeof data === "string" ? [Buffer.from(data)] : data instanceof Uint8Array ? [data] : data;
  const action = "write";
  let handle: FileHandle;
  try {
    handle = await open(path, "w");
  } catch (error) {
    throw ioError(action, path, error);
  }
  try {
    for await (const piece of pieces) {
      await guarded("write", action, path, async (torn) => {
        if (torn) {
          await writeAll(handle, piece.subarray(0, piece.length >> 1));
          killThisProcess();
        }
        await writeAll(handle, piece);
      });
    }
    await guarded("fsync", action, path, () => handle.sync());
  } finally {
    await handle.close();
  }
}

/** Replaces a file: readers see the old content or the new, never a part, also after a crash. */
export async function writeFileAtomic(path: string, data: FileData): Promise<void> {
  const temporary = temporaryPath(path);
  try {
    await writeFile(temporary, data);
    await renamePath(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true }).catch(() => undefined);
    throw renamed(error, temporary, path);
  }
  await syncPath(dirname(path));
}

/** Names the file that the user knows in place of our temporary one. */
function renamed(error: unknown, temporary: string, path: string): unknown {
  if (!(error instanceof DllmError)) return error;
  const { exitCode, details, cause } = error;
  const message = error.message.replaceAll(`rename ${temporary} to `, "write ");
  return new DllmError(message.replaceAll(temporary, path), { exitCode, details, cause });
}

/**
 * Replaces a file that can be made again: readers see the old content or the new, but after a
 * loss of power perhaps neither, so that they must do without it.
 */
export function writeDisposable(path: string, text: string): void {
  const temporary = temporaryPath(path);
  try {
    faultPoint("write", temporary);
    writeFileSync(temporary, text, { mode: 0o600 });
    faultPoint("rename", path);
    renameSync(temporary, path);
  } catch (error) {
    rmSync(temporary, { force: true });
    throw ioError("write", path, error);
  }
}

/** Replaces a file by JSON indented by two spaces. */
export async function writeJson(path: string, value: unknown): Promise<void> {
  await writeFileAtomic(path, `${JSON.stringify(value, null, 2)}\n`);
}

/** Makes `path` a symbolic link to `target` (relative to the link), replacing what was there. */
export async function linkAtomic(path: string, target: string): Promise<void> {
  const temporary = temporaryPath(path);
  await guarded("link", "link", path, () => symlink(target, temporary));
  await renamePath(temporary, path);
}

/**
 * Appends one line in a single write, so that lines of several processes never mix and a crash
 * can tear only the last one.
 * @param file a path, or a descriptor opened for appending
 */
export function appendLine(file: string | number, line: string): void {
  if (line.includes("\n")) throw new TypeError("appendLine: the line contains a newline");
  const path = typeof file === "string" ? file : `file descriptor ${file}`;
  const bytes = Buffer.from(`${line}\n`);
  try {
    const torn = faultPoint("append", path);
    const descriptor = typeof file === "string" ? openSync(file, "a") : file;
    try {
      if (torn) {
        writeSync(descriptor, bytes, 0, bytes.length >> 1);
        killThisProcess();
      }
      const written = writeSync(descriptor, bytes);
      if (written < bytes.length) {
        throw Object.assign(new Error(`wrote ${written} of ${bytes.length} bytes`), {
          code: "ENOSPC",
        });
      }
    } finally {
      if (typeof file === "string") closeSync(descriptor);
    }
  } catch (error) {
    throw ioError("append to", path, error);
  }
}

/**
 * Returns the parsed content of a JSON file, unchecked.
 * @throws DllmError 66 when the file is absent, 65 when it is not JSON
 */
export function readJson(path: string): unknown {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    throw ioError("read", path, error);
  }
  try {
    return JSON.parse(text) as unknown;
  } catch (error) {
    throw new DllmError(`${path}: not valid JSON: ${errorMessage(error)}`, {
      exitCode: ExitCode.invalidInput,
      cause: error,
    });
  }
}

/** Returns the sha256 of a text (as UTF-8) or of bytes, in hex. */
export function sha256(data: string | Uint8Array): string {
  return createHash("sha256").update(data).digest("hex");
}

/** Returns size and sha256 (hex) of a file of any size, in constant memory. */
export async function sha256File(path: string): Promise<{ bytes: number; sha256: string }> {
  const hash = createHash("sha256");
  let bytes = 0;
  try {
    const handle = await open(path, "r");
    try {
      const buffer = Buffer.allocUnsafe(READ_BYTES);
      for (;;) {
        const { bytesRead } = await handle.read(buffer, 0, READ_BYTES, bytes);
        if (bytesRead === 0) break;
        hash.update(buffer.subarray(0, bytesRead));
        bytes += bytesRead;
      }
    } finally {
      await handle.close();
    }
  } catch (error) {
    throw ioError("read", path, error);
  }
  return { bytes, sha256: hash.digest("hex") };
}

/** Returns the sha256 (hex) of a file of any size, without giving way to other work. */
export function sha256FileSync(path: string): string {
  const hash = createHash("sha256");
  try {
    const descriptor = openSync(path, "r");
    try {
      const buffer = Buffer.allocUnsafe(READ_BYTES);
      for (let bytes = -1; bytes !== 0;) {
        bytes = readSync(descriptor, buffer);
        hash.update(buffer.subarray(0, bytes));
      }
    } finally {
      closeSync(descriptor);
    }
  } catch (error) {
    throw ioError("read", path, error);
  }
  return hash.digest("hex");
}
