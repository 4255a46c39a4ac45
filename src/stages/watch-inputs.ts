/**
 * @file The inputs of a stage are what its fingerprint says, before it runs and after: what was
 * computed from anything else must not be stored under that name.
 */
import { lstatSync } from "node:fs";
import { join } from "node:path";
import { DllmError, ExitCode } from "../base/errors.js";
import { MANIFEST_FILE, verifyDirectory } from "../base/fs.js";
import type { StageJob } from "../plan/stage.js";

export interface WatchedInputs {
  /** @throws DllmError 65 naming the input that is not what it was */
  verifyUnchanged(): Promise<void>;
}

/**
 * Verifies the input artifacts of a job. (Files named in a recipe are hashed as they are read.)
 * @throws DllmError 65 when one is damaged
 */
export async function watchInputs({ inputs }: StageJob): Promise<WatchedInputs> {
  const before = new Map<string, string>();
  for (const directory of Object.values(inputs)) {
    if (!before.has(directory)) before.set(directory, await stampVerified(directory));
  }
  return {
    async verifyUnchanged() {
      for (const [name, directory] of Object.entries(inputs)) {
        if (stampOf(directory, await filesOf(directory)) === before.get(directory)) continue;
        // Touched, copied or restored: what counts is the content.
        try {
          await verifyDirectory(directory);
        } catch (error) {
          throw new DllmError(`its input ${name} changed while it ran`, {
            exitCode: ExitCode.invalidInput,
            details: [
              error instanceof DllmError ? error.message : String(error),
              "nothing was stored; run the command again to compute the input anew",
            ],
            cause: error,
          });
        }
      }
    },
  };
}

async function stampVerified(directory: string): Promise<string> {
  const { files } = await verifyDirectory(directory);
  return stampOf(directory, Object.keys(files));
}

async function filesOf(directory: string): Promise<string[]> {
  try {
    return Object.keys((await verifyDirectory(directory, { hash: false })).files);
  } catch {
    return [];
  }
}

/** What stat(2) tells of a file that nobody has touched. */
function stampOf(directory: string, files: readonly string[]): string {
  return [MANIFEST_FILE, ...files]
    .map((name) => {
      const stats = lstatSync(join(directory, name), { bigint: true, throwIfNoEntry: false });
      return stats && `${name} ${stats.ino} ${stats.size} ${stats.mtimeNs} ${stats.ctimeNs}`;
    })
    .join("\n");
}
