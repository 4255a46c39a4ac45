/**
 * @file The file system operations that change something, each with a fault point and with
 * errors that say what to do. Import them through fs.ts.
 */
import { createHash } from "node:crypto";
import {
  closeSync,
  constants,
  existsSync,
  fsyncSync,
  fstatSync,
  ftruncateSync,
  openSync,
  readFileSync,
  readSync,
  renameSync,
  rmSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { chmod, lstat, mkdir, open, rename, rm, symlink, type FileHandle } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { DllmError, ExitCode, errorCode, errorMessage } from "./errors.js";
import { faultPoint, killThisProcess, type Operation } from "./fault.js";
import { ioError } from "./io-error.js";

export { ioError } from "./io-error.js";

/** Bytes to write, whole or in pieces that are made on demand. */
export type FileData = string | Uint8Array | Iterable<Uint8Array> | AsyncIterable<Uint8Array>;

/** Private to the user, whatever the umask allows. */
const DIRECTORY_MODE = 0o700;
const FILE_MODE = 0o600;
/** The user's own files, such as a recipe: as the umask allows. */
const USER_DIRECTORY_MODE = 0o777;
const USER_FILE_MODE = 0o666;
/** What is published changes no more. */
const PUBLISHED_MODE = 0o444;

const READ_BYTES = 1 << 20;

async function guarded<T>(
  operation: Operation,
  action: string,
  perform: (torn: boolean) => Promise<T>,
): Promise<T> {
  try {
    return await perform(faultPoint(operation));
  } catch (error) {
    throw ioError(action, operation.path, error, neededBytes(operation));
  }
}

function neededBytes(operation: Operation): number | undefined {
  return "bytes" in operation ? operation.bytes.length : undefined;
}

let temporaryNames = 0;

/** Returns a free name in the same directory: `.tmp-<pid>-<n>`. */
export function temporaryPath(target: string): string {
  return freeName(target, "tmp");
}

/** Returns a free name in the same directory for what is about to be removed. */
export function trashPath(target: string): string {
  return freeName(target, "trash");
}

/** A process of the same number may have left its own behind. */
function freeName(target: string, prefix: string): string {
  for (;;) {
    const path = join(dirname(target), `.${prefix}-${process.pid}-${++temporaryNames}`);
    if (!existsSync(path)) return path;
  }
}

/**
 * Creates a directory and its missing parents, private to the user; existing ones are kept. Their
 * names are on the disk when it returns: what is stored in them must not vanish with them.
 */
export async function makeDirectory(path: string): Promise<void> {
  await makeDirectories(path, DIRECTORY_MODE);
}

/** The same for a directory of the user's own files: as the umask allows. */
export async function makeUserDirectory(path: string): Promise<void> {
  await makeDirectories(path, USER_DIRECTORY_MODE);
}

async function makeDirectories(path: string, mode: number): Promise<void> {
  // Not `recursive: true`: where a parent exists but cannot hold it (/proc), Node loops forever.
  const missing: string[] = [];
  for (let at = resolve(path); !existsSync(at); at = dirname(at)) missing.push(at);
  await guarded({ point: "mkdir", path }, "create the directory", async () => {
    for (const directory of missing.reverse()) await makeOne(directory, mode);
    // Never through a link: what we would write behind it is somebody else's.
    if (missing.length === 0 && !(await lstat(path)).isDirectory()) {
      throw Object.assign(new Error("a file or link is in the way"), { code: "EEXIST" });
    }
  });
  for (const directory of missing) await syncPath(dirname(directory));
}

/** Creates one directory that nobody else has, and that need not outlive a loss of power. */
export async function makePrivateDirectory(path: string): Promise<void> {
  await guarded({ point: "mkdir", path }, "create the directory", () =>
    mkdir(path, { mode: DIRECTORY_MODE }),
  );
}

async function makeOne(directory: string, mode: number): Promise<void> {
  try {
    await mkdir(directory, { mode });
  } catch (error) {
    if (errorCode(error) === "EEXIST") return; // another process was quicker
    if (errorCode(error) !== "ENOENT") throw error;
    // The parent is there and yet does not take it: a file system without files of users.
    throw Object.assign(new Error("nothing can be created there"), { code: "EROFS" });
  }
}

/** Renames within one file system. */
export async function renamePath(from: string, to: string): Promise<void> {
  await guarded({ point: "rename", path: to, from }, `rename ${from} to`, () => rename(from, to));
}

/** Removes a file or a directory with its content; absent is fine. */
export async function removePath(path: string): Promise<void> {
  await guarded({ point: "remove", path }, "remove", () =>
    rm(path, { recursive: true, force: true }),
  );
}

/** Sets the permissions of a file or directory. */
export async function setMode(path: string, mode: number): Promise<void> {
  await guarded({ point: "chmod", path }, "set the mode of", () => chmod(path, mode));
}

/** Forces a file's or directory's content to the disk. */
export async function syncPath(path: string): Promise<void> {
  await guarded({ point: "fsync", path }, "force to the disk", async () => {
    const handle = await open(path, "r");
    try {
      await handle.sync();
    } finally {
      await handle.close();
    }
  });
}

/** Makes a file read-only: the end of writing it. */
export async function sealFile(path: string): Promise<void> {
  await setMode(path, PUBLISHED_MODE);
}

async function writeAll(handle: FileHandle, bytes: Uint8Array): Promise<void> {
  for (let offset = 0; offset < bytes.length;) {
    const { bytesWritten } = await handle.write(bytes, offset);
    offset += bytesWritten;
  }
}

// Through no symbolic link: the name is ours, and what it may point to is not.
const WRITE_FLAGS =
  constants.O_WRONLY | constants.O_CREAT | constants.O_TRUNC | constants.O_NOFOLLOW;
const APPEND_FLAGS =
  constants.O_WRONLY | constants.O_CREAT | constants.O_APPEND | constants.O_NOFOLLOW;

/**
 * Writes a file in place and forces it to the disk. Only for files inside a directory that is
 * not published yet; a final name needs writeFileAtomic or publishDirectory.
 */
export async function writeFile(path: string, data: FileData): Promise<void> {
  await writePieces(path, WRITE_FLAGS, FILE_MODE, data);
}

/**
 * Adds to the end of a file, piece by piece; what was added before a failure stays. Only for
 * files that are checked as a whole before they get their final name.
 */
export async function appendFile(path: string, data: FileData): Promise<void> {
  await writePieces(path, APPEND_FLAGS, FILE_MODE, data);
}

async function writePieces(
  path: string,
  flags: number,
  mode: number,
  data: FileData,
): Promise<void> {
  const pieces =
    typeof data === "string" ? [Buffer.from(data)] : data instanceof Uint8Array ? [data] : data;
  const action = "write";
  const handle = await guarded({ point: "create", path }, action, () => open(path, flags, mode));
  try {
    for await (const piece of pieces) {
      await guarded({ point: "write", path, bytes: piece }, action, async (torn) => {
        if (torn) {
          await writeAll(handle, piece.subarray(0, piece.length >> 1));
          killThisProcess();
        }
        await writeAll(handle, piece);
      });
    }
    await guarded({ point: "fsync", path }, action, () => handle.sync());
  } finally {
    await handle.close();
  }
}

/** Replaces a file: readers see the old content or the new, never a part, also after a crash. */
export async function writeFileAtomic(path: string, data: FileData): Promise<void> {
  await replaceFile(path, data, FILE_MODE);
}

/** The same for a file that the user keeps and others may read: as the umask allows. */
export async function writeUserFile(path: string, data: FileData): Promise<void> {
  await replaceFile(path, data, USER_FILE_MODE);
}

async function replaceFile(path: string, data: FileData, mode: number): Promise<void> {
  const temporary = temporaryPath(path);
  try {
    await writePieces(temporary, WRITE_FLAGS, mode, data);
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
  const bytes = Buffer.from(text);
  try {
    sync({ point: "create", path: temporary }, "write", () =>
      writeFileSync(temporary, "", { mode: FILE_MODE, flag: "wx" }),
    );
    sync({ point: "write", path: temporary, bytes }, "write", () =>
      writeFileSync(temporary, bytes),
    );
    sync({ point: "rename", path, from: temporary }, "write", () => renameSync(temporary, path));
  } catch (error) {
    rmSync(temporary, { force: true });
    throw renamed(error, temporary, path);
  }
}

/** Replaces a file by JSON indented by two spaces. */
export async function writeJson(path: string, value: unknown): Promise<void> {
  await writeFileAtomic(path, `${JSON.stringify(value, null, 2)}\n`);
}

/** Makes `path` a symbolic link to `target` (relative to the link), replacing what was there. */
export async function linkAtomic(path: string, target: string): Promise<void> {
  const temporary = temporaryPath(path);
  await guarded({ point: "link", path: temporary, target }, "link", () =>
    symlink(target, temporary),
  );
  await renamePath(temporary, path);
}

const NEWLINE = 0x0a;

/** A file that is only appended to. */
export interface AppendFile {
  /**
   * Appends one line in a single write, so that lines of several processes never mix and a crash
   * can tear only the last one.
   * @param options.durable forces it and what came before to the disk, or not, in this case
   */
  append(line: string | Uint8Array, options?: { durable: boolean }): void;
  close(): void;
}

/**
 * Opens a file for appending, creating it where it is absent.
 * @param durable forces its name to the disk, and each line before append() returns
 */
export function openForAppending(
  path: string,
  { durable = false }: { durable?: boolean } = {},
): AppendFile {
  const isNew = !existsSync(path);
  const descriptor = sync({ point: "create", path }, "open", () =>
    openSync(path, APPEND_FLAGS, FILE_MODE),
  );
  if (durable && isNew) syncDirectory(dirname(path));
  const write = (bytes: Buffer): void => {
    sync({ point: "append", path, bytes }, "append to", (torn) => {
      if (torn) {
        writeSync(descriptor, bytes, 0, bytes.length >> 1);
        killThisProcess();
      }
      const written = writeSync(descriptor, bytes);
      if (written < bytes.length) {
        const problem = `wrote ${written} of ${bytes.length} bytes`;
        throw Object.assign(new Error(problem), { code: "ENOSPC" });
      }
    });
  };
  let failure: { error: unknown } | undefined;
  return {
    append(line, options = { durable }) {
      // After a line that is missing or torn, others would make no sense, and what the disk says
      // of them after a failure means nothing.
      if (failure) throw failure.error;
      const text = typeof line === "string" ? Buffer.from(line) : Buffer.from(line);
      if (text.includes(NEWLINE)) throw new TypeError("append: the line contains a newline");
      try {
        write(Buffer.concat([text, Buffer.of(NEWLINE)]));
        if (options.durable) {
          sync({ point: "fsync", path }, "append to", () => fsyncSync(descriptor));
        }
      } catch (error) {
        failure = { error };
        throw error;
      }
    },
    close: () => closeSync(descriptor),
  };
}

function syncDirectory(path: string): void {
  sync({ point: "fsync", path }, "force to the disk", () => {
    const descriptor = openSync(path, "r");
    try {
      fsyncSync(descriptor);
    } finally {
      closeSync(descriptor);
    }
  });
}

/** How often to follow a writer that is quicker than the reading, which must end some time. */
const MOST_PURSUITS = 16;

/**
 * Moves the last `kept` bytes of a file that another process appends to, and what comes meanwhile,
 * to another file and empties it. Reads on until there is no more and then empties at once: only
 * what is written in that instant is lost. When as much again has come while it read, begins anew
 * nearer to the end: the last words matter most. Not forced to the disk.
 * @returns the bytes moved, and those before them, which are gone
 */
export function moveEnd(
  from: string,
  to: string,
  kept: number,
): { moved: number; dropped: number } {
  const temporary = temporaryPath(to);
  const buffer = Buffer.allocUnsafe(READ_BYTES);
  const source = sync({ point: "cut", path: from, length: 0 }, "empty", () =>
    openSync(from, constants.O_RDWR | constants.O_NOFOLLOW),
  );
  try {
    const target = sync({ point: "create", path: temporary }, "write", () =>
      openSync(temporary, "wx", FILE_MODE),
    );
    try {
      const beginning = () => Math.max(0, fstatSync(source).size - kept);
      let dropped = beginning();
      let moved = 0;
      for (let pursuits = 0; ;) {
        const read = readSync(source, buffer, 0, buffer.length, dropped + moved);
        if (read === 0) break;
        const bytes = buffer.subarray(0, read);
        sync({ point: "write", path: temporary, bytes }, "write", () =>
          writeSync(target, bytes, 0, read, moved),
        );
        moved += read;
        if (moved < 2 * kept) continue;
        if (++pursuits > MOST_PURSUITS) break;
        ftruncateSync(target, 0);
        dropped = beginning();
        moved = 0;
      }
      ftruncateSync(source, 0);
      sync({ point: "rename", path: to, from: temporary }, "write", () =>
        renameSync(temporary, to),
      );
      return { moved, dropped };
    } finally {
      closeSync(target);
    }
  } catch (error) {
    rmSync(temporary, { force: true });
    throw ioError("empty", from, error);
  } finally {
    closeSync(source);
  }
}

/** Cuts a file to a length, and forces that to the disk. */
export function cutFile(path: string, length: number): void {
  const descriptor = sync({ point: "cut", path, length }, "cut", () =>
    openSync(path, constants.O_RDWR | constants.O_NOFOLLOW),
  );
  try {
    sync({ point: "fsync", path }, "cut", () => {
      ftruncateSync(descriptor, length);
      fsyncSync(descriptor);
    });
  } finally {
    closeSync(descriptor);
  }
}

/** As guarded(), without giving way to other work. */
function sync<T>(operation: Operation, action: string, perform: (torn: boolean) => T): T {
  try {
    return perform(faultPoint(operation));
  } catch (error) {
    throw ioError(action, operation.path, error, neededBytes(operation));
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
