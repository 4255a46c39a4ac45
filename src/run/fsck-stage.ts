/** @file Checks a stage's working directory: specification, artifact, result, checkpoints, metrics. */
import { existsSync, readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { readStep } from "../base/checkpoint-directory.js";
import { DllmError, errorMessage } from "../base/errors.js";
import { MANIFEST_FILE, readJson, removePath, sha256, verifyDirectory } from "../base/fs.js";
import { readJsonLines, tornTail } from "../base/json-lines.js";
import { acquireLock } from "../base/lock.js";
import { setAside } from "../base/quarantine.js";
import { asStageResult, stageFiles } from "../plan/stage-files.js";
import type { MetricRecord, StageJob } from "../plan/stage.js";
import type { Problem, Repair } from "./fsck.js";
import { checkMetrics } from "./fsck-metrics.js";

/** Returns the problems of one directory of the store; of a live one, only what stays. */
export async function checkStage(
  directory: string,
  fingerprint: string,
  isLive: boolean,
): Promise<Problem[]> {
  const problems: Problem[] = [];
  const path = (name: keyof typeof stageFiles) => join(directory, stageFiles[name]);
  const anew = (what: string, ...paths: string[]): Repair => ({
    what,
    apply: () => underLock(directory, () => moveAside(paths)),
  });

  const spec = existsSync(path("spec"))
    ? problemOf(() => checkSpec(path("spec"), fingerprint))
    : undefined;
  if (spec !== undefined) problems.push({ path: path("spec"), problem: spec });
  if (!isLive) {
    const artifact = await problemOfAsync(() => checkArtifact(directory, fingerprint));
    if (artifact !== undefined) {
      const repair = anew(
        "set the artifact and its result aside: the next run computes it again",
        path("output"),
        path("result"),
      );
      problems.push({ path: path("output"), problem: artifact, repair });
    }
    const torn = existsSync(path("metrics")) ? tornTail(path("metrics")) : 0;
    if (torn > 0) {
      problems.push({
        path: path("metrics"),
        problem: `its last line is torn (${torn} bytes): the next attempt cuts it off`,
      });
    }
  }
  problems.push(...(await checkCheckpoints(path("checkpoints"), anew)));
  const { records, badLines } = readJsonLines<MetricRecord>(path("metrics"));
  if (badLines > 0) {
    problems.push({ path: path("metrics"), problem: `${badLines} lines are no records` });
  }
  problems.push(...checkMetrics(path("metrics"), records));
  return problems;
}

function checkSpec(path: string, fingerprint: string): void {
  const job = readJson(path) as Partial<StageJob> | null;
  if (job?.schema !== 1) throw new Error("found other content, expected schema 1");
  if (job.fingerprint === fingerprint) return;
  throw new Error(`is of fingerprint ${String(job.fingerprint)}, expected ${fingerprint}`);
}

/** The three parts of done agree, or none of them is there. */
async function checkArtifact(directory: string, fingerprint: string): Promise<void> {
  const output = join(directory, stageFiles.output);
  const resultPath = join(directory, stageFiles.result);
  const pending = existsSync(join(directory, stageFiles.pendingResult));
  if (!existsSync(output)) {
    if (existsSync(resultPath)) throw new Error("is missing, but there is a result of it");
    return;
  }
  await verifyDirectory(output, { hash: true });
  if (!existsSync(resultPath)) {
    // The process died between the two; the next attempt completes the result.
    throw new Error(pending ? "its result was not completed yet" : "there is no result of it");
  }
  const result = asStageResult(readJson(resultPath), fingerprint);
  if (!result) throw new Error(`${resultPath} is not a result of this fingerprint`);
  const artifact = sha256(readFileSync(join(output, MANIFEST_FILE)));
  if (result.artifact !== artifact) {
    throw new Error(`is artifact ${artifact}, but its result is of ${result.artifact}`);
  }
}

async function checkCheckpoints(
  parent: string,
  anew: (what: string, ...paths: string[]) => Repair,
): Promise<Problem[]> {
  const names = existsSync(parent) ? readdirSync(parent) : [];
  const problems: Problem[] = [];
  for (const name of names.filter((each) => !each.startsWith("."))) {
    const path = join(parent, name);
    // What was damaged is kept beside, for people.
    if (/\.bad(-\d+)?$/.test(name)) continue;
    const problem = await problemOfAsync(async () => {
      await verifyDirectory(path, { hash: true });
      readStep(path);
    });
    if (problem === undefined) continue;
    problems.push({ path, problem, repair: anew("set it aside: the one before is resumed", path) });
  }
  return problems;
}

async function moveAside(paths: readonly string[]): Promise<void> {
  for (const path of paths) if (existsSync(path)) await setAside(path);
}

async function underLock(directory: string, action: () => Promise<void>): Promise<void> {
  const lock = await acquireLock(join(directory, stageFiles.lock), { what: directory });
  try {
    await action();
    // It speaks of an output that is no longer there.
    await removePath(join(directory, stageFiles.pendingResult));
  } finally {
    await lock.release();
  }
}

function textOf(error: unknown): string {
  return error instanceof DllmError ? error.message : errorMessage(error);
}

function problemOf(check: () => void): string | undefined {
  try {
    check();
    return undefined;
  } catch (error) {
    return textOf(error);
  }
}

async function problemOfAsync(check: () => Promise<void>): Promise<string | undefined> {
  try {
    await check();
    return undefined;
  } catch (error) {
    return textOf(error);
  }
}
