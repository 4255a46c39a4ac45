/**
 * @file The checkpoints of a running stage: published whole, the newest kept, broken ones
 * set aside. The caller holds the working directory's lock.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { checkpointName, readCheckpoints, type Checkpoint } from "../base/checkpoint-directory.js";
import { publishDirectory, removePath, renamePath, trashPath } from "../base/fs.js";
import { setAside } from "../base/quarantine.js";
import type { StageMessage } from "../plan/stage-files.js";
import { FEWEST_CHECKPOINTS, type CheckpointStore } from "../plan/stage.js";

/**
 * Returns the checkpoints below `directory`.
 * @param elapsedSeconds read at each save, for the manifest: time spent in all attempts so far
 */
export function openCheckpoints(
  directory: string,
  { elapsedSeconds, report }: { elapsedSeconds: () => number; report: (m: StageMessage) => void },
): CheckpointStore & { newest(): Promise<Checkpoint | undefined> } {
  async function newest(): Promise<Checkpoint | undefined> {
    const { valid, broken } = readCheckpoints(directory, 1);
    for (const { directory: path, problem } of broken) {
      report({ type: "quarantined", path, movedTo: await setAside(path), problem });
    }
    return valid[0];
  }

  /** Removes all but the newest: a victim loses its name first, so that none is seen half gone. */
  async function prune(keep: number): Promise<void> {
    const { valid } = readCheckpoints(directory, Infinity);
    for (const { directory: path } of valid.slice(Math.max(keep, FEWEST_CHECKPOINTS))) {
      const trash = trashPath(path);
      await renamePath(path, trash);
      await removePath(trash);
    }
  }

  return {
    newest,
    async latest() {
      const checkpoint = await newest();
      return checkpoint && { step: checkpoint.step, directory: checkpoint.directory };
    },
    async save(step, write, { keep = FEWEST_CHECKPOINTS } = {}) {
      const target = join(directory, checkpointName(step));
      // A resumed stage starts after its newest checkpoint; equal steps hold equal states.
      if (existsSync(target)) return;
      report({ type: "checkpoint-started", step });
      const extra = { step, elapsed_seconds: elapsedSeconds() };
      await publishDirectory({ target, extra }, write);
      report({ type: "checkpoint-published", step });
      await prune(keep);
    },
  };
}
