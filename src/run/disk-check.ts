/** @file Whether the disk can hold what a run is going to write, before it starts. */
import { statfs } from "node:fs/promises";
import { DllmError, ExitCode } from "../base/errors.js";
import { formatBytes } from "../report/format.js";

const COMFORT = 1.5;

export interface DiskNeed {
  /** Stage id to the bytes that it is going to write and that stay. */
  stages: ReadonlyMap<string, number>;
}

export interface DiskCheckInputs {
  /** Where it is written. */
  directory: string;
  need: DiskNeed;
  /** Only warn. */
  force: boolean;
  /** Free bytes for this user; of the file system unless a test says otherwise. */
  freeBytes?: (directory: string) => Promise<number | undefined>;
}

/**
 * Returns a warning when little more is free than needed.
 * @throws DllmError 74 when less is, unless forced: then that is the warning
 */
export async function checkDisk(inputs: DiskCheckInputs): Promise<string | undefined> {
  const { directory, need, force, freeBytes = freeBytesOf } = inputs;
  const bytes = [...need.stages.values()].reduce((sum, each) => sum + each, 0);
  const free = bytes === 0 ? undefined : await freeBytes(directory);
  if (free === undefined || free >= COMFORT * bytes) return undefined;
  const found = `${directory} has ${shown(free)} free, and the run needs about ${shown(bytes)}`;
  const largest = [...need.stages].sort(([, a], [, b]) => b - a)[0]!;
  const details = [
    `largest: stage ${largest[0]} with about ${shown(largest[1])} of checkpoints and output`,
    "free some space, choose another --runs directory, or lower save_total_limit",
  ];
  if (free >= bytes || force) return ["warning: " + found, ...details].join("\n  ");
  throw new DllmError(found, {
    exitCode: ExitCode.ioError,
    details: [...details, "--force runs all the same"],
  });
}

function shown(bytes: number): string {
  return `${formatBytes(bytes)} (${bytes} bytes)`;
}

async function freeBytesOf(directory: string): Promise<number | undefined> {
  try {
    const { bavail, bsize } = await statfs(directory);
    return bavail * bsize;
  } catch {
    // A file system that does not say how much is free: nothing to compare with.
    return undefined;
  }
}
