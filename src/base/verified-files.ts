/**
 * @file A published directory that has been verified once, recognised by inode, size and times of
 * its files and directories: all equal means that nobody has written to it since, and that its
 * bytes need not be hashed again.
 */
import { lstatSync } from "node:fs";
import { dirname, join } from "node:path";
import { readJson, writeDisposable } from "./files.js";
import { MANIFEST_FILE, type Manifest } from "./manifest.js";

/** Name below the directory (`.` for itself) to `inode:size:mtime:ctime`, times in nanoseconds. */
export type FileStamps = Readonly<Record<string, string>>;

interface VerifiedFile {
  schema: 1;
  /** sha256 of the manifest that was verified. */
  artifact: string;
  stamps: FileStamps;
}

/**
 * Returns the stamps of what a manifest lists, and of its directories, whose times change when a
 * name is added. Take them before verifying, so that a later write cannot go unseen.
 */
export function stampFiles(directory: string, { files }: Manifest): FileStamps {
  const names = new Set([".", MANIFEST_FILE]);
  for (const name of Object.keys(files)) {
    names.add(name);
    for (let at = dirname(name); at !== "."; at = dirname(at)) names.add(at);
  }
  return Object.fromEntries([...names].map((name) => [name, stampOf(join(directory, name))]));
}

function stampOf(path: string): string {
  const { ino, size, mtimeNs, ctimeNs } = lstatSync(path, { bigint: true });
  return `${ino}:${size}:${mtimeNs}:${ctimeNs}`;
}

/** Notes in a file that the directory of these stamps holds an artifact. */
export function writeVerified(path: string, artifact: string, stamps: FileStamps): void {
  const content: VerifiedFile = { schema: 1, artifact, stamps };
  writeDisposable(path, `${JSON.stringify(content)}\n`);
}

/** Whether such a note says so of a directory that nothing was written to since. */
export function isVerified(path: string, artifact: string, directory: string): boolean {
  try {
    const { schema, artifact: noted, stamps } = readJson(path) as VerifiedFile;
    if (schema !== 1 || noted !== artifact || stamps["."] === undefined) return false;
    return Object.entries(stamps).every(
      ([name, stamp]) => stampOf(join(directory, name)) === stamp,
    );
  } catch {
    return false;
  }
}
