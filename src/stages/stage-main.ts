/**
 * @file The main of a stage process. It asks its stage to stop when it gets TERM or HUP, or when
 * the executor's end of the IPC channel closes: no stage outlives its executor for longer than a
 * checkpoint takes.
 */
import { join } from "node:path";
import { killLeftovers } from "../base/attempt-processes.js";
import { DllmError, ExitCode } from "../base/errors.js";
import { readJson, writeJson } from "../base/fs.js";
import { acquireLock, describeHolder } from "../base/lock.js";
import {
  stageFiles,
  type ExecutorMessage,
  type StageError,
  type StageMessage,
} from "../plan/stage-files.js";
import { StageStopped, stageKinds, type StageJob } from "../plan/stage.js";
import type { StageRegistry } from "./registry.js";
import { describeFailure, runStage } from "./run-stage.js";

/** Sends to the executor if it is still there; without one (started by hand) nothing. */
function send(message: StageMessage): void {
  if (process.connected) process.send?.(message, undefined, undefined, () => undefined);
}

/** Returns the job of a working directory. @throws DllmError 65 when it is not one. */
export function readJob(workingDirectory: string): StageJob {
  const path = join(workingDirectory, stageFiles.spec);
  const job = readJson(path) as Partial<StageJob> | null;
  if (job?.schema !== 1 || !job.kind || !stageKinds.includes(job.kind) || !job.fingerprint) {
    throw new DllmError(`${path}: not a stage's specification of schema 1`, {
      exitCode: ExitCode.invalidInput,
    });
  }
  return job as StageJob;
}

/**
 * Runs the stage of a working directory to its end, as the main of a process: installs signal
 * handlers, and ends the process with 0, 75 (stopped, resumable) or the error's exit code.
 */
export async function stageMain(workingDirectory: string, registry: StageRegistry): Promise<never> {
  const stop = { requested: false };
  const saveNow = { requested: false };
  const waiting = new AbortController();
  listenForRequests({
    stop() {
      stop.requested = true;
      waiting.abort();
    },
    save: () => (saveNow.requested = true),
  });

  const job = jobOrExit(workingDirectory);
  let failed = false;
  const fail = async (error: unknown): Promise<never> => {
    const failure = describeFailure(error, job);
    // On a full disk neither the log nor the report can be written, which fails again: once is
    // enough, for the exit code says the same.
    if (failed) return process.exit(failure.exitCode);
    failed = true;
    console.error(error instanceof DllmError ? error.format() : error);
    const report: StageError = { schema: 1, attempt: job.attempt, ...failure };
    await writeJson(join(workingDirectory, stageFiles.error), report).catch(() => undefined);
    return process.exit(failure.exitCode);
  };
  process.on("uncaughtException", (error) => void fail(error));
  process.on("unhandledRejection", (error) => void fail(error));
  try {
    await acquireLock(join(workingDirectory, stageFiles.lock), {
      what: `stage ${job.id}`,
      holder: `stage ${job.id}`,
      onWait: (holder) => send({ type: "waiting", holder: describeHolder(holder) }),
      signal: waiting.signal,
    });
    // Whatever earlier attempts left behind must not write here beside this one.
    const processes = killLeftovers(workingDirectory);
    if (processes.length > 0) send({ type: "leftovers-killed", processes });
    await runStage({
      job,
      workingDirectory,
      registry,
      stop,
      saveNow,
      report: (message) => {
        if (message.type === "quarantined") console.error(JSON.stringify(message));
        send(message);
      },
      now: () => performance.now(),
    });
  } catch (error) {
    const stopped = error instanceof StageStopped || (stop.requested && isBusy(error));
    if (!stopped) return fail(error);
    console.log(`stage ${job.id}: stopped on request`);
    process.exit(ExitCode.temporary);
  }
  process.exit(ExitCode.ok);
}

const SAME_REQUEST_MS = 1000;

/**
 * Listens for what others ask of this process. Asked twice to stop, it ends at once: the newest
 * checkpoint must do, and publishing survives an exit at any instant. TERMs in quick succession
 * are one request: a dying executor causes one with each of its threads (PR_SET_PDEATHSIG).
 */
function listenForRequests(on: { stop: () => void; save: () => void }): void {
  let askedAt: number | undefined;
  const onSignal = () => {
    askedAt ??= performance.now();
    if (performance.now() - askedAt > SAME_REQUEST_MS) process.exit(ExitCode.temporary);
    on.stop();
  };
  process.on("SIGTERM", onSignal);
  process.on("SIGHUP", onSignal);
  process.on("disconnect", on.stop);
  // The executor may have died while this process was starting.
  if (process.connected === false) on.stop();
  process.on("SIGUSR2", on.save);
  process.on("message", ({ type }: ExecutorMessage) => {
    if (type === "checkpoint") on.save();
  });
  // Ctrl-C is the executor's affair; Slurm sends CONT before TERM.
  process.on("SIGINT", () => undefined);
  // What a stage waits for that has stalled. (Node's own diagnostic report would hold all of the
  // environment, and says no more about a busy process either: both need the event loop.)
  process.on("SIGUSR1", () => {
    const resources = process.getActiveResourcesInfo().join(", ") || "nothing";
    console.error(`[dllm] the event loop runs, and waits for: ${resources}`);
  });
}

/** Without a job there is no attempt to report on: the message is in the log. */
function jobOrExit(workingDirectory: string): StageJob {
  try {
    return readJob(workingDirectory);
  } catch (error) {
    if (!(error instanceof DllmError)) throw error;
    console.error(error.format());
    return process.exit(error.exitCode);
  }
}

function isBusy(error: unknown): boolean {
  return error instanceof DllmError && error.exitCode === ExitCode.temporary;
}
