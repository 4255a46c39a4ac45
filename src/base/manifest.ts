/**
 * @file Publishing a directory by rename, with a manifest written last, and checking it later.
 * Import it through fs.ts. Protocol: RELIABILITY 2.2.
 */
import { lstatSync, readdirSync } from "node:fs";
import { rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { DllmError, ExitCode } from "./errors.js";
import {
  ioError,
  makeDirectory,
  makePrivateDirectory,
  readJson,
  renamePath,
  sealFile,
  sha256,
  sha256File,
  sha256FileSync,
  syncPath,
  temporaryPath,
  writeFile,
} from "./files.js";
import { canonicalJson, type JsonObject } from "./json.js";

export const MANIFEST_FILE = "MANIFEST.json";

export interface ManifestEntry {
  bytes: number;
  /** sha256 hex. */
  sha256: string;
}

/** MANIFEST.json: every file below the directory by its `/`-separated path, and extra fields. */
export interface Manifest {
  schema: 1;
  files: Record<string, ManifestEntry>;
  /** sha256 of the canonical JSON of the rest: a checkpoint's step is as precious as its files. */
  checksum?: string;
  [extra: string]: unknown;
}

/**
 * Lists the regular files below a directory, relative and sorted, without the manifest.
 * @throws DllmError 65 for links, devices and names that begin with a dot: never an output
 */
function listFiles(directory: string, prefix = ""): { files: string[]; directories: string[] } {
  const files: string[] = [];
  const directories = [directory];
  for (const entry of readdirSync(directory, { withFileTypes: true })) {
    const name = prefix + entry.name;
    if (name === MANIFEST_FILE) continue;
    const problem = entry.name.startsWith(".")
      ? "begins with a dot"
      : entry.isFile() || entry.isDirectory()
        ? undefined
        : "is neither a file nor a directory";
    if (problem) {
      throw new DllmError(
        `${join(directory, entry.name)} ${problem}: cannot be part of an artifact`,
        {
          exitCode: ExitCode.invalidInput,
        },
      );
    }
    if (entry.isFile()) files.push(name);
    else {
      const below = listFiles(join(directory, entry.name), `${name}/`);
      files.push(...below.files);
      directories.push(...below.directories);
    }
  }
  return { files: files.sort(), directories };
}

/**
 * Publishes what `write` puts into a fresh private directory under the name `target`, whole or
 * not at all: after any crash `target` is absent or complete.
 * @param extra further fields of the manifest (a checkpoint's step)
 * @throws what `write` throws, and DllmError 73/74/77; the private directory is then removed
 */
export async function publishDirectory(
  { target, extra = {} }: { target: string; extra?: JsonObject },
  write: (directory: string) => Promise<void>,
): Promise<Manifest> {
  await makeDirectory(dirname(target));
  const temporary = temporaryPath(target);
  await makePrivateDirectory(temporary);
  try {
    await write(temporary);
    const { files, directories } = listFiles(temporary);
    const manifest: Manifest = { schema: 1, ...extra, files: {} };
    for (const name of files) {
      const path = join(temporary, name);
      // It is on the disk already: whatever writes a file through fs.ts has waited for that.
      await sealFile(path);
      manifest.files[name] = await sha256File(path);
    }
    const manifestPath = join(temporary, MANIFEST_FILE);
    manifest.checksum = checksumOf(manifest);
    await writeFile(manifestPath, `${JSON.stringify(manifest, null, 2)}\n`);
    await sealFile(manifestPath);
    for (const directory of directories.reverse()) await syncPath(directory);
    await renamePath(temporary, target);
    await syncPath(dirname(target));
    return manifest;
  } catch (error) {
    // Best effort: the next start removes leftovers, and the first error is the one to show.
    await rm(temporary, { recursive: true, force: true }).catch(() => undefined);
    throw error;
  }
}

function damaged(path: string, found: string, expected: string): DllmError {
  return new DllmError(`${path}: damaged: found ${found}, expected ${expected}`, {
    exitCode: ExitCode.invalidInput,
  });
}

/**
 * Returns the manifest of a published directory.
 * @throws DllmError 65 when it is absent or not a manifest
 */
export function readManifest(directory: string): Manifest {
  const path = join(directory, MANIFEST_FILE);
  let value: unknown;
  try {
    value = readJson(path);
  } catch (error) {
    if (error instanceof DllmError && error.exitCode === ExitCode.notFound) {
      throw damaged(path, "no manifest", "a published directory");
    }
    throw error;
  }
  if (!isManifest(value)) throw damaged(path, "other content", "a manifest of schema 1");
  const checksum = checksumOf(value);
  // Manifests of before there were checksums have none.
  if (value.checksum !== undefined && value.checksum !== checksum) {
    throw damaged(path, `checksum ${checksum}`, String(value.checksum));
  }
  return value;
}

function checksumOf(manifest: Manifest): string {
  const rest: Partial<Manifest> = { ...manifest };
  delete rest.checksum;
  return sha256(canonicalJson(rest));
}

function isManifest(value: unknown): value is Manifest {
  if (typeof value !== "object" || value === null) return false;
  const { schema, files } = value as { schema?: unknown; files?: unknown };
  if (schema !== 1 || typeof files !== "object" || files === null) return false;
  return Object.values(files).every((entry: unknown) => {
    const { bytes, sha256: hash } = (entry ?? {}) as { bytes?: unknown; sha256?: unknown };
    return Number.isSafeInteger(bytes) && typeof hash === "string" && /^[0-9a-f]{64}$/.test(hash);
  });
}

/** Compares the names and sizes of a published directory with its manifest. */
function verifySizes(directory: string): Manifest {
  const manifest = readManifest(directory);
  let found: string[];
  try {
    found = listFiles(directory).files;
  } catch (error) {
    throw ioError("read", directory, error);
  }
  const unexpected = found.find((name) => !Object.hasOwn(manifest.files, name));
  if (unexpected !== undefined) {
    throw damaged(join(directory, unexpected), "a file", "none (it is not in the manifest)");
  }
  for (const [name, { bytes }] of Object.entries(manifest.files)) {
    const path = join(directory, name);
    if (!found.includes(name)) throw damaged(path, "no file", `${bytes} bytes`);
    const size = lstatSync(path).size;
    if (size !== bytes) throw damaged(path, `${size} bytes`, `${bytes} bytes`);
  }
  return manifest;
}

// Above this, hashing would delay every start by seconds; sizes are still compared.
const HASH_LIMIT_BYTES = 2 ** 30;

export interface VerifyOptions {
  /** true: hash every file; false: none; absent: those below 1 GiB. */
  hash?: boolean;
}

function hashes({ bytes }: ManifestEntry, { hash }: VerifyOptions): boolean {
  return hash ?? bytes < HASH_LIMIT_BYTES;
}

/**
 * Returns the manifest of a published directory after comparing names, sizes and hashes.
 * @throws DllmError 65 that names the first file that differs, what was found and expected
 */
export async function verifyDirectory(
  directory: string,
  options: VerifyOptions = {},
): Promise<Manifest> {
  const manifest = verifySizes(directory);
  for (const [name, entry] of Object.entries(manifest.files)) {
    if (!hashes(entry, options)) continue;
    const path = join(directory, name);
    const found = (await sha256File(path)).sha256;
    if (found !== entry.sha256) throw damaged(path, `sha256 ${found}`, entry.sha256);
  }
  return manifest;
}

/** Returns what verifyDirectory returns, without giving way to other work. */
export function verifyDirectorySync(directory: string, options: VerifyOptions = {}): Manifest {
  const manifest = verifySizes(directory);
  for (const [name, entry] of Object.entries(manifest.files)) {
    if (!hashes(entry, options)) continue;
    const path = join(directory, name);
    const found = sha256FileSync(path);
    if (found !== entry.sha256) throw damaged(path, `sha256 ${found}`, entry.sha256);
  }
  return manifest;
}
