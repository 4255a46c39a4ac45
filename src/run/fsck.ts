/**
 * @file Checks that what is on disk is what the rules say (RELIABILITY 0 and 2): the oracle of
 * every fault test, and for people who want to know. Reads everything; takes no lock and writes
 * nothing, unless asked to repair.
 */
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { lockHolder } from "../base/lock.js";
import { stageFiles } from "../plan/stage-files.js";
import { checkNames, checkSecret } from "./fsck-files.js";
import { checkProcesses } from "./fsck-processes.js";
import { checkRun } from "./fsck-run.js";
import { checkStage } from "./fsck-stage.js";
import { isFingerprint } from "./read-plan.js";
import { storeDirectory } from "./run-paths.js";
import { openStore } from "./store.js";

export interface Problem {
  path: string;
  /** What was found, and what was expected. */
  problem: string;
  /** What the next run does about it by itself, or `--repair` now; absent where nothing can. */
  repair?: Repair;
}

export interface Repair {
  /** In words: `remove it`. */
  what: string;
  apply(): Promise<void>;
}

export interface FsckOptions {
  /** Absolute. */
  runsRoot: string;
  /** The runs to check, as absolute directories. */
  runs: readonly string[];
  /** Whether to check all of the store, not only what these runs refer to. */
  wholeStore: boolean;
  /** A text that must be in no file, for tests of what keeps secrets out. */
  secret?: string;
}

export interface FsckReport {
  problems: Problem[];
  /** What was looked at. */
  checked: { runs: number; stages: number; files: number };
}

/** Returns everything that is not as it should be. */
export async function checkRuns(options: FsckOptions): Promise<FsckReport> {
  const { runsRoot, runs, wholeStore, secret } = options;
  const store = openStore(runsRoot);
  const stagesRoot = storeDirectory(runsRoot);
  const problems: Problem[] = [];
  const fingerprints = new Set<string>();
  let files = 0;
  for (const directory of runs) {
    const isLive = lockHolder(join(directory, "run.lock")) !== undefined;
    const { problems: found, fingerprints: used } = checkRun(directory, { store, isLive });
    problems.push(...found);
    for (const fingerprint of used) fingerprints.add(fingerprint);
    files += checkNames(directory, problems, { isLive, linksIn: ["stages", "trials"] });
    if (!isLive) problems.push(...checkProcesses(directory, used.map(store.directory)));
    if (secret !== undefined) problems.push(...(await checkSecret(directory, secret)));
  }
  if (wholeStore) {
    for (const name of existsSync(stagesRoot) ? readdirSync(stagesRoot) : []) {
      if (isFingerprint(name)) fingerprints.add(name);
    }
    const isLive = lockHolder(join(runsRoot, ".store", "store.lock")) !== undefined;
    checkNames(stagesRoot, problems, { isLive, only: (name) => !isFingerprint(name) });
  }
  let stages = 0;
  for (const fingerprint of fingerprints) {
    const directory = store.directory(fingerprint);
    if (!existsSync(directory)) continue;
    stages++;
    const isLive = lockHolder(join(directory, stageFiles.lock)) !== undefined;
    problems.push(...(await checkStage(directory, fingerprint, isLive)));
    files += checkNames(directory, problems, { isLive });
    if (secret !== undefined) problems.push(...(await checkSecret(directory, secret)));
  }
  return { problems, checked: { runs: runs.length, stages, files } };
}
