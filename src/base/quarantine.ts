/** @file Setting damaged things aside: renamed, never deleted, never read again. */
import { existsSync } from "node:fs";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { removePath, renamePath } from "./files.js";
import { isAlive } from "./process-identity.js";

/** Renames a damaged file or directory to `<path>.bad` (`.bad-2`, …) and returns the new path. */
export async function setAside(path: string): Promise<string> {
  for (let n = 1; ; n++) {
    const aside = n === 1 ? `${path}.bad` : `${path}.bad-${n}`;
    if (existsSync(aside)) continue;
    await renamePath(path, aside);
    return aside;
  }
}

/**
 * Whether an entry is what an interrupted writer left: `.tmp-<pid>-<n>` or `.trash-<pid>-<n>`. A
 * single file of another process that lives is not: a run writes the specification of a stage
 * without its lock, perhaps at this moment.
 */
export function isLeftover({ name, isDirectory }: { name: string; isDirectory: boolean }): boolean {
  const pid = /^\.(?:tmp|trash)-(\d+)-/.exec(name)?.[1];
  return pid !== undefined && (isDirectory || Number(pid) === process.pid || !isAlive(Number(pid)));
}

/** Removes what interrupted writers left in a directory. Only for the holder of its lock. */
export async function removeLeftovers(directory: string): Promise<void> {
  if (!existsSync(directory)) return;
  for (const entry of await readdir(directory, { withFileTypes: true })) {
    const { name } = entry;
    if (isLeftover({ name, isDirectory: entry.isDirectory() })) {
      await removePath(join(directory, name));
    }
  }
}
