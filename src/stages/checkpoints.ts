/**
 * @file The checkpoints of a running stage: published whole, the newest kept, broken ones
 * set aside. The caller holds the working directory's lock.
 */
import { existsSync } from "node:fs";
import { basename, join } from "node:path";
import {
  checkpointName,
  readCheckpoints,
  type BrokenCheckpoint,
  type Checkpoint,
} from "../base/checkpoint-directory.js";
import { DllmError, ExitCode } from "../base/errors.js";
import {
  publishDirectory,
  removePath,
  renamePath,
  syncPath,
  trashPath,
  verifyDirectory,
} from "../base/fs.js";
import { setAside } from "../base/quarantine.js";
import type { StageMessage } from "../plan/stage-files.js";
import { FEWEST_CHECKPOINTS, type CheckpointStore } from "../plan/stage.js";

export interface CheckpointOptions {
  /** Read at each save, for the manifest: time spent in all attempts so far. */
  elapsedSeconds: () => number;
  report: (message: StageMessage) => void;
  /** Begin anew when all checkpoints are damaged, instead of refusing. */
  allowRestart?: boolean;
}

/** Returns the checkpoints below `directory`. */
export function openCheckpoints(
  directory: string,
  { elapsedSeconds, report, allowRestart = false }: CheckpointOptions,
): CheckpointStore & { newest(): Promise<Checkpoint | undefined> } {
  /** @throws DllmError 65 when there are some, and none of them verifies */
  async function newest(): Promise<Checkpoint | undefined> {
    const { valid, broken } = readCheckpoints(directory, 1);
    const checkpoint = valid[0];
    // To compute everything again may take days: that is for people to decide.
    if (broken.length > 0 && !checkpoint && !allowRestart) throw nothingLeft(directory, broken);
    for (const { directory: path, problem } of broken) {
      const lost = stepOfName(path) - (checkpoint?.step ?? 0);
      const note = `${problem}; ${lost} step${lost === 1 ? " is" : "s are"} computed again`;
      report({ type: "quarantined", path, movedTo: await setAside(path), problem: note });
    }
    return checkpoint;
  }

  /** Removes all but the newest: a victim loses its name first, so that none is seen half gone. */
  async function prune(keep: number, pinned: readonly number[]): Promise<void> {
    const { valid } = readCheckpoints(directory, Infinity);
    for (const { directory: path, step } of valid.slice(Math.max(keep, FEWEST_CHECKPOINTS))) {
      if (pinned.includes(step)) continue;
      const trash = trashPath(path);
      await renamePath(path, trash);
      // Or else, after a loss of power, it could have its name still and its files no more.
      await syncPath(directory);
      await removePath(trash);
    }
  }

  return {
    newest,
    async latest() {
      const checkpoint = await newest();
      return checkpoint && { step: checkpoint.step, directory: checkpoint.directory };
    },
    async pinned(step) {
      const path = join(directory, checkpointName(step));
      if (!existsSync(path)) {
        throw new DllmError(`there is no checkpoint of step ${step}, which was to be kept`, {
          exitCode: ExitCode.bug,
          details: [`looked for ${path}`],
        });
      }
      await verifyDirectory(path);
      return path;
    },
    async save(step, write, { keep = FEWEST_CHECKPOINTS, pinned = [] } = {}) {
      const target = join(directory, checkpointName(step));
      // A resumed stage starts after its newest checkpoint; equal steps hold equal states.
      if (existsSync(target)) return;
      report({ type: "checkpoint-started", step });
      const extra = { step, elapsed_seconds: elapsedSeconds() };
      await publishDirectory({ target, extra }, write);
      report({ type: "checkpoint-published", step });
      await prune(keep, pinned);
    },
  };
}

/** A broken manifest does not say it. */
function stepOfName(directory: string): number {
  return Number(/^step-(\d+)$/.exec(basename(directory))?.[1] ?? 0);
}

function nothingLeft(directory: string, broken: readonly BrokenCheckpoint[]): DllmError {
  return new DllmError(`all checkpoints in ${directory} are damaged`, {
    exitCode: ExitCode.invalidInput,
    details: [
      ...broken.map(({ problem }) => problem),
      "restore one of them; or give them up and begin anew with: dllm run --allow-restart",
    ],
  });
}
