/** @file One attempt of a stage: its process from start to end, and what became of it. */
import { join } from "node:path";
import { ATTEMPT_VARIABLE, attemptId } from "../base/attempt-processes.js";
import { makeDirectory, writeJson } from "../base/fs.js";
import { stageFiles, type StageError, type StageMessage } from "../plan/stage-files.js";
import type { PlannedStage, StageJob } from "../plan/stage.js";
import type { RunEvent } from "../report/events.js";
import { childEnvironment } from "./child-environment.js";
import { judgeExit, mayPass, type StageOutcome } from "./judge-exit.js";
import type { JobOptions } from "./stage-job.js";
import { oomKills } from "./memory-watch.js";
import { startStageProcess } from "./stage-process.js";
import { stopLadder, type StopRequests } from "./stop-ladder.js";
import type { Store } from "./store.js";
import { supervise } from "./supervisor.js";

/** What attempts of all stages of a run have in common. */
export interface AttemptWorld extends StopRequests {
  store: Store;
  /** Absolute path of the stage process's main module. */
  stageScript: string;
  /** Of this process: stages get the part that they need. */
  environment: Readonly<Record<string, string | undefined>>;
  stallTimeoutMs: number;
  makeJob: (stage: PlannedStage, options: JobOptions) => StageJob;
  emit: (event: RunEvent) => void;
  /** Monotonic milliseconds. */
  now: () => number;
  /** Called whenever a stage has reported, and when it has ended. */
  onReport: (stage: PlannedStage) => void;
}

export interface Attempt {
  ended: Promise<{ outcome: StageOutcome; mayStartLater: boolean }>;
  checkpoint(): void;
  /** Stops it alone, because its trials are stopped. */
  stopStage(): void;
}

/** Starts an attempt. @throws DllmError when its specification or log cannot be written */
export async function startAttempt(
  world: AttemptWorld,
  stage: PlannedStage,
  options: JobOptions & { gpus: readonly string[] },
): Promise<Attempt> {
  const { store, emit, now } = world;
  const { id, fingerprint } = stage;
  const directory = store.directory(fingerprint);
  await makeDirectory(directory);
  const job = world.makeJob(stage, options);
  await writeJson(join(directory, stageFiles.spec), job);
  const { attempt } = job;
  const started = now();
  const oomKillsBefore = oomKills();
  const identity = attemptId(directory, attempt);
  const gpus = options.gpus.length > 0 ? { CUDA_VISIBLE_DEVICES: options.gpus.join(",") } : {};
  const child = startStageProcess({
    script: world.stageScript,
    workingDirectory: directory,
    environment: childEnvironment(world.environment, {
      kind: stage.kind,
      own: { ...gpus, [ATTEMPT_VARIABLE]: identity },
    }),
    attemptId: identity,
    onMessage(message) {
      supervision.onMessage(message);
      emitMessage(id, message, emit);
      world.onReport(stage);
    },
  });
  const { threads } = options;
  emit({
    event: "stage-started",
    ...{ stage: id, fingerprint, attempt, pid: child.pid ?? 0, threads, gpus: options.gpus },
  });
  const ladder = stopLadder(world, id, child, emit);
  const supervision = supervise({
    stage: id,
    pid: child.pid,
    workingDirectory: directory,
    stallTimeoutMs: world.stallTimeoutMs,
    emit,
    reportState: () => child.reportState(),
    stopStage: () => ladder.stopStage(),
  });
  let isStoppedAlone = false;

  async function finish(): Promise<{ outcome: StageOutcome; mayStartLater: boolean }> {
    const { exit, leftovers } = await child.exited;
    ladder.end();
    supervision.end();
    if (leftovers.length > 0) emit({ event: "leftovers-killed", stage: id, processes: leftovers });
    world.onReport(stage);
    const outcome = judgeExit(store, {
      stage: id,
      fingerprint,
      attempt,
      exit,
      stopRequested: ladder.requested() || isStoppedAlone,
      ...(supervision.hasStalled() && { stalledSeconds: world.stallTimeoutMs / 1000 }),
      oomKilled: (oomKills() ?? 0) > (oomKillsBefore ?? Infinity),
      peakRssBytes: supervision.peakRssBytes(),
    });
    const seconds = (now() - started) / 1000;
    const ranOutOfGrace = ladder.ranOutOfGrace();
    await tellOutcome(world, { stage, attempt, outcome, seconds, ranOutOfGrace });
    return { outcome, mayStartLater: mayPass(exit) };
  }
  return {
    ended: finish(),
    checkpoint() {
      emit({ event: "checkpoint-requested", stage: id });
      child.checkpoint();
    },
    stopStage() {
      isStoppedAlone = true;
      ladder.stopStage();
    },
  };
}

async function tellOutcome(
  { store, emit }: AttemptWorld,
  ended: {
    stage: PlannedStage;
    attempt: number;
    outcome: StageOutcome;
    seconds: number;
    ranOutOfGrace: boolean;
  },
): Promise<void> {
  const { stage, outcome, seconds, ranOutOfGrace } = ended;
  const { id, fingerprint } = stage;
  switch (outcome.status) {
    case "finished": {
      store.noteVerified();
      const { peakRssBytes, artifact, metrics } = outcome.result;
      emit({ event: "stage-finished", stage: id, seconds, peakRssBytes, artifact, metrics });
      break;
    }
    case "stopped": {
      const checkpointStep = checkpointStepOf(store, fingerprint);
      const stopped = { stage: id, seconds, checkpointStep };
      emit({ event: "stage-stopped", ...stopped, ...(ranOutOfGrace && { ranOutOfGrace }) });
      break;
    }
    case "failed":
      await keepError(store, ended);
      break;
  }
}

/** Returns the step of the newest checkpoint of an unfinished stage, null without one. */
export function checkpointStepOf(store: Store, fingerprint: string): number | null {
  const existing = store.existing(fingerprint);
  return existing?.state === "checkpoint" ? existing.step : null;
}

/** Leaves the reason for `dllm status`, in the words of the stage where it has left its own. */
async function keepError(
  store: Store,
  ended: { stage: PlannedStage; attempt: number; outcome: StageOutcome },
): Promise<void> {
  const { stage, attempt, outcome } = ended;
  // Killed just after it had finished: the result speaks.
  if (outcome.status !== "failed" || store.finished(stage.fingerprint)) return;
  const { exitCode, reason, message, details, peakRssBytes } = outcome.failure;
  const error: StageError = {
    schema: 1,
    ...{ attempt, exitCode, reason, message, details },
    ...(peakRssBytes !== undefined && { peakRssBytes }),
  };
  await writeJson(join(store.directory(stage.fingerprint), stageFiles.error), error);
}

function emitMessage(stage: string, message: StageMessage, emit: (event: RunEvent) => void): void {
  switch (message.type) {
    case "started":
      if (message.resumedStep !== undefined) {
        emit({ event: "stage-resumed", stage, step: message.resumedStep });
      }
      break;
    case "waiting":
      emit({ event: "stage-waiting", stage, holder: message.holder });
      break;
    case "progress":
      emit({ event: "stage-progress", stage, ...message.progress });
      break;
    case "checkpoint-started":
    case "checkpoint-published":
      emit({ event: message.type, stage, step: message.step });
      break;
    case "quarantined": {
      const { path, movedTo, problem } = message;
      emit({ event: "quarantined", stage, path, movedTo, problem });
      break;
    }
    case "leftovers-killed":
      emit({ event: "leftovers-killed", stage, processes: message.processes });
      break;
  }
}
