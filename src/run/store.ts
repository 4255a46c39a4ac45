/**
 * @file What has been computed: one directory per fingerprint, which is the working directory
 * of its stage and then the home of its artifact. Reading changes nothing; damaged artifacts
 * are set aside by the stage process that computes them again, under the directory's lock.
 */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { readCheckpoints } from "../base/checkpoint-directory.js";
import { errorMessage } from "../base/errors.js";
import {
  MANIFEST_FILE,
  makeDirectory,
  readJson,
  readManifest,
  sha256,
  verifyDirectorySync,
} from "../base/fs.js";
import { acquireLock } from "../base/lock.js";
import { isVerified, stampFiles, writeVerified } from "../base/verified-files.js";
import { asStageResult, stageFiles } from "../plan/stage-files.js";
import type { ExistingStage } from "../plan/plan.js";
import type { StageResult } from "../plan/stage.js";
import { storeDirectory, storeLock } from "./run-paths.js";

export interface StoreProblem {
  fingerprint: string;
  path: string;
  problem: string;
}

export interface Store {
  /** Absolute working directory of a fingerprint, existing or not. */
  directory(fingerprint: string): string;
  /**
   * The result of a stage whose artifact verifies, once per store: sizes and hashes (below 1 GiB),
   * or that nothing was written since they were last compared.
   */
  finished(fingerprint: string): StageResult | undefined;
  /** Notes what was compared since the last call, so that it need not be again. */
  noteVerified(): void;
  /** What can be built on: the artifact, or else the newest checkpoint that verifies, if any. */
  existing(fingerprint: string): ExistingStage | undefined;
  /**
   * Writes down that a run refers to stages of the store (in `action`): meanwhile nothing is
   * removed, and afterwards nothing of these.
   */
  refer(action: () => Promise<void>, signal?: AbortSignal): Promise<void>;
  /** What was found damaged so far. */
  readonly problems: readonly StoreProblem[];
}

/** Opens the store below a runs directory (absolute). */
export function openStore(runsRoot: string): Store {
  const stages = storeDirectory(runsRoot);
  const verified = new Map<string, StageResult>();
  const problems: StoreProblem[] = [];
  const problemPaths = new Set<string>();
  const toNote: (() => void)[] = [];
  const directory = (fingerprint: string) => join(stages, fingerprint);

  function note(fingerprint: string, path: string, problem: string): void {
    if (problemPaths.has(path)) return;
    problemPaths.add(path);
    problems.push({ fingerprint, path, problem });
  }

  function finished(fingerprint: string): StageResult | undefined {
    const output = join(directory(fingerprint), stageFiles.output);
    const resultPath = join(directory(fingerprint), stageFiles.result);
    const known = verified.get(fingerprint);
    // It may have been removed as garbage since.
    if (known && existsSync(resultPath) && existsSync(output)) return known;
    // Without a result the stage is unfinished, whatever else is there.
    if (!existsSync(resultPath)) return undefined;
    const result = readResult(resultPath, fingerprint);
    const verifiedPath = join(directory(fingerprint), stageFiles.verified);
    if (result && isVerified(verifiedPath, result.artifact, output)) {
      verified.set(fingerprint, result);
      return result;
    }
    let stamps;
    try {
      stamps = stampFiles(output, readManifest(output));
      verifyDirectorySync(output);
    } catch (error) {
      note(fingerprint, output, errorMessage(error));
      return undefined;
    }
    if (result?.artifact !== sha256(readFileSync(join(output, MANIFEST_FILE)))) {
      note(fingerprint, resultPath, `${resultPath}: damaged: not the result of this output`);
      return undefined;
    }
    toNote.push(() => writeVerified(verifiedPath, result.artifact, stamps));
    verified.set(fingerprint, result);
    return result;
  }

  function existing(fingerprint: string): ExistingStage | undefined {
    if (finished(fingerprint)) return { state: "finished" };
    const { valid, broken } = readCheckpoints(
      join(directory(fingerprint), stageFiles.checkpoints),
      1,
    );
    for (const { directory: path, problem } of broken) note(fingerprint, path, problem);
    if (valid[0]) return { state: "checkpoint", step: valid[0].step };
    const isDamaged = problems.some((problem) => problem.fingerprint === fingerprint);
    return isDamaged ? { state: "damaged" } : undefined;
  }

  async function refer(action: () => Promise<void>, signal?: AbortSignal): Promise<void> {
    await makeDirectory(stages);
    const lock = await acquireLock(storeLock(runsRoot), {
      what: `the store of ${runsRoot}`,
      onWait: () => undefined,
      ...(signal ? { signal } : {}),
    });
    try {
      await action();
    } finally {
      await lock.release();
    }
  }

  function noteVerified(): void {
    for (const write of toNote.splice(0)) {
      try {
        write();
      } catch {
        // Where it cannot be noted it is compared again: slower, and no reason to fail.
      }
    }
  }

  return { directory, finished, existing, refer, noteVerified, problems };
}

function readResult(path: string, fingerprint: string): StageResult | undefined {
  try {
    return asStageResult(readJson(path), fingerprint);
  } catch {
    return undefined;
  }
}
