/** @file Fresh directories for tests. */
import { accessSync, constants, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** Calls `use` with a fresh directory, which is removed when it has ended. */
export async function inTemporaryDirectory<T>(
  use: (directory: string) => Promise<T>,
  parent = tmpdir(),
): Promise<T> {
  const directory = mkdtempSync(join(parent, "dllm-test-"));
  try {
    return await use(directory);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

/** As inTemporaryDirectory, in memory where there is such a place: fsync costs nothing there. */
export async function inMemoryDirectory<T>(use: (directory: string) => Promise<T>): Promise<T> {
  return inTemporaryDirectory(use, memory());
}

function memory(): string {
  try {
    accessSync("/dev/shm", constants.W_OK);
    return "/dev/shm";
  } catch {
    return tmpdir();
  }
}
