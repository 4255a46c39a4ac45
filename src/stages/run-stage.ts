/**
 * @file One attempt of a stage in its working directory, from `spec.json` to `result.json`.
 * Whatever instant it dies at, the next attempt continues: start-up is the recovery.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { DllmError, ExitCode, errorMessage } from "../base/errors.js";
import {
  MANIFEST_FILE,
  makeDirectory,
  publishDirectory,
  readJson,
  removePath,
  renamePath,
  sha256File,
  verifyDirectory,
  writeJson,
} from "../base/fs.js";
import type { JsonObject } from "../base/json.js";
import { removeLeftovers, setAside } from "../base/quarantine.js";
import {
  asStageResult,
  stageFiles,
  type PendingResult,
  type StageError,
  type StageMessage,
} from "../plan/stage-files.js";
import type { Progress, StageContext, StageJob, StageResult } from "../plan/stage.js";
import { openCheckpoints } from "./checkpoints.js";
import { openMetrics } from "./metrics-file.js";
import type { StageRegistry } from "./registry.js";
import { watchInputs } from "./watch-inputs.js";

export interface StageWorld {
  job: StageJob;
  workingDirectory: string;
  registry: StageRegistry;
  stop: { readonly requested: boolean };
  /** Reset when a checkpoint is saved. */
  saveNow?: { requested: boolean };
  report: (message: StageMessage) => void;
  /** Monotonic milliseconds. */
  now: () => number;
}

/**
 * Runs the stage unless its result is already there. The caller holds the directory's lock.
 * @throws what the implementation throws: DllmError, StageStopped, or a bug
 */
export async function runStage(world: StageWorld): Promise<void> {
  const { job, workingDirectory: directory, report } = world;
  const path = (name: keyof typeof stageFiles) => join(directory, stageFiles[name]);
  await removePath(path("error"));
  await removeLeftovers(directory);
  await removeLeftovers(path("checkpoints"));
  if (job.anew) await supersede(directory);
  if (await isFinished(world)) return;

  const started = world.now();
  const startedAt = new Date().toISOString();
  let earlierSeconds = 0;
  const seconds = () => (world.now() - started) / 1000;
  const checkpoints = openCheckpoints(path("checkpoints"), {
    elapsedSeconds: () => earlierSeconds + seconds(),
    report,
    allowRestart: job.allowRestart ?? false,
  });
  const newest = await checkpoints.newest();
  earlierSeconds = Number(newest?.manifest.elapsed_seconds ?? 0);
  report({
    type: "started",
    attempt: job.attempt,
    ...(newest ? { resumedStep: newest.step } : {}),
  });

  const inputs = await watchInputs(job);
  const metrics = openMetrics(directory);
  const { run } = await world.registry[job.kind]();
  const saveNow = world.saveNow ?? { requested: false };
  await publishDirectory({ target: path("output") }, async (outputDirectory) => {
    const context: StageContext = {
      job,
      input: (name) => inputDirectory(job, name),
      outputDirectory,
      checkpoints: {
        ...checkpoints,
        async save(...args) {
          saveNow.requested = false;
          await checkpoints.save(...args);
        },
      },
      metric: (record) => metrics.append(record),
      progress: throttled(report, world.now),
      log: (message) => console.log(message),
      stop: world.stop,
      saveNow,
    };
    const figures = await run(context);
    await inputs.verifyUnchanged();
    await writeJson(path("pendingResult"), {
      schema: 1,
      id: job.id,
      kind: job.kind,
      fingerprint: job.fingerprint,
      attempt: job.attempt,
      reason: "ok",
      startedAt,
      finishedAt: new Date().toISOString(),
      durationSeconds: seconds(),
      totalSeconds: earlierSeconds + seconds(),
      peakRssBytes: process.resourceUsage().maxRSS * 1024,
      metrics: withoutNonFinite(figures),
    } satisfies PendingResult);
  });
  metrics.close();
  await completeResult(directory);
}

/**
 * Moves what the stage has computed to a directory of its own, so that it can be computed anew
 * and nothing is lost. The result goes first: without it the stage is unfinished.
 */
async function supersede(directory: string): Promise<void> {
  const names = ["result", "pendingResult", "verified", "output", "checkpoints"] as const;
  const found = [...names, "metrics" as const].filter((name) => {
    return existsSync(join(directory, stageFiles[name]));
  });
  if (found.length === 0) return;
  let n = 1;
  while (existsSync(join(directory, `superseded-${n}`))) n++;
  const aside = join(directory, `superseded-${n}`);
  await makeDirectory(aside);
  for (const name of found) {
    await renamePath(join(directory, stageFiles[name]), join(aside, stageFiles[name]));
  }
}

/**
 * Whether the stage needs nothing more. Completes an attempt that died between publishing its
 * output and its result; sets aside what does not verify.
 */
async function isFinished({ job, workingDirectory, report }: StageWorld): Promise<boolean> {
  const path = (name: keyof typeof stageFiles) => join(workingDirectory, stageFiles[name]);
  const quarantine = async (what: string, problem: string) => {
    if (!existsSync(what)) return;
    report({ type: "quarantined", path: what, movedTo: await setAside(what), problem });
  };
  if (!existsSync(path("output"))) {
    await quarantine(path("result"), "there is a result, but its output is missing");
    return false;
  }
  try {
    await verifyDirectory(path("output"));
  } catch (error) {
    if (!(error instanceof DllmError)) throw error;
    await quarantine(path("output"), error.message);
    // The result speaks of the output that is gone; the next one writes it anew.
    await removePath(path("result"));
    await removePath(path("pendingResult"));
    return false;
  }
  const { sha256: artifact } = await sha256File(join(path("output"), MANIFEST_FILE));
  if (readResult(path("result"), job.fingerprint)?.artifact === artifact) return true;
  await quarantine(path("result"), "it is not the result of the output beside it");
  if (readResult(path("pendingResult"), job.fingerprint)) {
    await completeResult(workingDirectory);
    return true;
  }
  await quarantine(path("output"), "there is no result for it");
  return false;
}

function readResult(path: string, fingerprint: string): StageResult | undefined {
  try {
    // A pending result lacks the artifact; it is completed before it is compared.
    return asStageResult({ artifact: "", ...(readJson(path) as object) }, fingerprint);
  } catch {
    return undefined;
  }
}

async function completeResult(directory: string): Promise<void> {
  const pendingPath = join(directory, stageFiles.pendingResult);
  const pending = readJson(pendingPath) as PendingResult;
  const manifest = await sha256File(join(directory, stageFiles.output, MANIFEST_FILE));
  const result: StageResult = { ...pending, artifact: manifest.sha256 };
  await writeJson(join(directory, stageFiles.result), result);
  await removePath(pendingPath);
}

function inputDirectory(job: StageJob, name: string): string {
  const directory = job.inputs[name];
  if (directory !== undefined) return directory;
  const names = Object.keys(job.inputs).join(", ") || "none";
  throw new DllmError(`stage ${job.id}: no input "${name}", it has: ${names}`, {
    exitCode: ExitCode.bug,
  });
}

/** Figures that are not finite would read back as null: they become text, as in metrics. */
function withoutNonFinite(figures: JsonObject): JsonObject {
  return JSON.parse(
    JSON.stringify(figures, (_key, value: unknown) =>
      typeof value === "number" && !Number.isFinite(value) ? String(value) : value,
    ),
  ) as JsonObject;
}

const PROGRESS_INTERVAL_MS = 100;

/** At most ten reports per second, and always the last one. */
function throttled(report: StageWorld["report"], now: () => number): (p: Progress) => void {
  let last = -Infinity;
  return (progress) => {
    if (now() - last < PROGRESS_INTERVAL_MS && progress.done !== progress.total) return;
    last = now();
    report({ type: "progress", progress });
  };
}

/** Returns the exit code and the lines of an error of an implementation. */
export function describeFailure(
  error: unknown,
  job: StageJob,
): Pick<StageError, "exitCode" | "reason" | "message" | "details"> {
  if (error instanceof DllmError) {
    const { exitCode, message, details, reason } = error;
    return { exitCode, ...(reason !== undefined && { reason }), message, details };
  }
  return {
    exitCode: ExitCode.bug,
    message: `unexpected error in stage ${job.id}: ${errorMessage(error)}`,
    details: ["this is a bug in dllm; the stack trace is in the stage's out.log"],
  };
}
