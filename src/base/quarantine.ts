/** @file Setting damaged things aside: renamed, never deleted, never read again. */
import { existsSync } from "node:fs";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { removePath, renamePath } from "./files.js";

/** Renames a damaged file or directory to `<path>.bad` (`.bad-2`, …) and returns the new path. */
export async function setAside(path: string): Promise<string> {
  for (let n = 1; ; n++) {
    const aside = n === 1 ? `${path}.bad` : `${path}.bad-${n}`;
    if (existsSync(aside)) continue;
    await renamePath(path, aside);
    return aside;
  }
}

/** Whether a name is of what interrupted writers leave. */
export function isLeftover(name: string): boolean {
  return /^\.(?:tmp|trash)-/.test(name);
}

/** Removes what interrupted writers left in a directory. Only for the holder of its lock. */
export async function removeLeftovers(directory: string): Promise<void> {
  if (!existsSync(directory)) return;
  for (const name of await readdir(directory)) {
    if (isLeftover(name)) await removePath(join(directory, name));
  }
}
