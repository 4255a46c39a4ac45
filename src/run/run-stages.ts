/** @file The stages of a run, from the first that can start to the last that has ended. */
import { totalmem } from "node:os";
import { ExitCode } from "../base/errors.js";
import { createRedactor } from "../base/redact.js";
import type { Plan } from "../plan/plan.js";
import type { PlannedStage, StageResult } from "../plan/stage.js";
import type { SweepPlan } from "../plan/trials.js";
import type { RunEvent, StageFailure, TrialStatus } from "../report/events.js";
import { systemClock, type RunOutcome, type SettledInputs } from "./execution.js";
import type { StageOutcome } from "./judge-exit.js";
import type { RunPaths } from "./run-paths.js";
import type { RunRequests } from "./run-requests.js";
import { startRun } from "./run-start.js";
import { createScheduler, type Grant, type Task } from "./scheduler.js";
import type { Selection } from "./selection.js";
import { jobMaker, lastJob } from "./stage-job.js";
import { runStage, type StageRun } from "./stage-runner.js";
import { openTrials, type Trials } from "./trials.js";

export interface RunStagesInputs {
  inputs: SettledInputs;
  selection: Selection;
  paths: RunPaths;
  requests: RunRequests;
  emit: (event: RunEvent) => void;
}

/**
 * Runs the selected stages.
 * @throws DllmError 66 when one needs what is neither selected nor finished, 74 when the disk is
 * too small
 */
export async function runStages(world: RunStagesInputs): Promise<Omit<RunOutcome, "directory">> {
  const { inputs, selection, paths, requests, emit } = world;
  const { plan, store, jobs, cores, clock = systemClock } = inputs;
  const stages = plan.stages.filter(({ id }) => selection.selected.has(id));
  const byId = new Map(stages.map((stage) => [stage.id, stage]));
  await startRun(world, stages);

  const keepGoing = inputs.keepGoing || plan.sweep !== undefined;
  const trials = hasSweep(plan) ? await openTrials({ plan, store, paths, emit }) : undefined;
  const ran: string[] = [];
  const reused: string[] = [];
  const skipped: string[] = [];
  const failures: StageFailure[] = [];
  const results: Record<string, StageResult> = {};
  const running = new Map<string, StageRun>();
  const finished: { id: string; outcome: StageOutcome }[] = [];
  let wake: () => void = () => undefined;
  const isEnding = () => requests.stop.aborted || requests.kill.aborted;

  const share = Math.max(1, Math.floor(cores / jobs));
  const threadsOf = (stage: PlannedStage): number => {
    // Sums may be formed in another order by other numbers of threads: a resume keeps its own.
    const earlier = stage.action === "resume" && lastJob(store.directory(stage.fingerprint));
    if (earlier && earlier.threads !== undefined) return earlier.threads;
    return jobs === 1 ? stage.hardware.threads : Math.min(stage.hardware.threads, share);
  };
  const scheduler = createScheduler(
    stages.map((stage): Task => ({
      id: stage.id,
      needs: stage.needs,
      threads: threadsOf(stage),
      identity: stage.fingerprint,
      gpus: stage.hardware.device === "cuda" ? 1 : 0,
      ...(stage.estimate?.memoryBytes !== undefined && {
        memoryBytes: stage.estimate.memoryBytes,
      }),
    })),
    {
      tasks: jobs,
      threads: Math.max(cores, jobs),
      memoryBytes: memoryBytes(),
      gpus: inputs.gpus ?? [],
    },
  );

  const redact = createRedactor(inputs.environment);
  const stageWorld = {
    emit: (event: RunEvent) => emit(redactText(event, redact)),
    ...{ store, stop: requests.stop, kill: requests.kill },
    ...{ graceMs: requests.graceMs, stageScript: inputs.stageScript },
    ...{ environment: inputs.environment, stallTimeoutMs: inputs.stallTimeoutMs },
    makeJob: jobMaker(plan, store, inputs),
    now: () => clock.now(),
    onReport: (stage: PlannedStage) => giveUp(trials?.onReport(stage) ?? [], trialsStopped),
    retry: { retries: inputs.retries, baseMs: inputs.retryBaseMs, random: Math.random },
  };

  const trialsStopped = "its trials were stopped early";
  function giveUp(ids: readonly string[], because: string): void {
    for (const id of ids) {
      if (running.has(id)) running.get(id)!.stopStage();
      else if (byId.has(id)) scheduler.abandon(id).forEach((each) => skip(each, because));
    }
  }
  function skip(id: string, because: string): void {
    skipped.push(id);
    emit({ event: "stage-skipped", stage: id, because });
  }

  function reuse(id: string): boolean {
    if (selection.anew.has(id)) return false;
    const { reason, fingerprint } = byId.get(id)!;
    const result = store.finished(fingerprint);
    if (!result) return false;
    emit({ event: "stage-reused", stage: id, reason, fingerprint });
    reused.push(id);
    results[id] = result;
    return true;
  }

  function launch({ id, threads, gpus }: Grant): void {
    const stage = byId.get(id)!;
    const run = runStage(stageWorld, stage, { threads, gpus, anew: selection.anew.has(id) });
    running.set(id, run);
    const settle = (outcome?: StageOutcome) => {
      running.delete(id);
      if (outcome) finished.push({ id, outcome });
      else scheduler.abandon(id);
      wake();
    };
    run.ended.then(settle, (error: unknown) => {
      requests.failWith(error);
      settle();
    });
  }

  function conclude({ id, outcome }: { id: string; outcome: StageOutcome }): void {
    switch (outcome.status) {
      case "finished":
        scheduler.finish(id);
        ran.push(id);
        results[id] = outcome.result;
        giveUp(trials?.onReport(byId.get(id)!, outcome.result) ?? [], trialsStopped);
        break;
      case "stopped":
        // By the run's end nothing is skipped: the next run goes on here.
        for (const each of scheduler.abandon(id)) if (!isEnding()) skip(each, trialsStopped);
        break;
      case "failed":
        failures.push(redactText(outcome.failure, redact));
        for (const each of scheduler.abandon(id)) {
          if (each !== id && keepGoing) skip(each, `it needs ${id}, which failed`);
        }
        break;
    }
  }

  const endCheckpoints = inputs.onCheckpointRequest?.(() => {
    for (const run of running.values()) run.checkpoint();
  });
  try {
    for (const id of trials?.stoppedStages ?? []) {
      if (byId.has(id) && !store.finished(byId.get(id)!.fingerprint)) giveUp([id], trialsStopped);
    }
    while (!scheduler.isOver()) {
      if (!isEnding() && (keepGoing || failures.length === 0)) {
        for (const grant of scheduler.start(reuse)) launch(grant);
      }
      if (running.size === 0 && finished.length === 0) break;
      if (finished.length === 0) await new Promise<void>((resolve) => (wake = resolve));
      for (const each of finished.splice(0)) conclude(each);
    }
    await trials?.settled();
  } finally {
    endCheckpoints?.();
  }

  const statuses = trials && trialStatuses(trials, results, failures);
  for (const [trial, status] of Object.entries(statuses ?? {})) {
    emit({ event: "trial-finished", trial, status });
  }
  const base = {
    ...{ ran, reused, skipped, results, failures },
    ...(statuses && { trials: statuses }),
  };
  if (failures.length > 0) {
    // Of several failures there is no one code.
    const exitCode = keepGoing ? ExitCode.stageFailed : failures[0]!.exitCode;
    return { ...base, status: "failed", exitCode };
  }
  return isEnding() && reused.length + ran.length + skipped.length < stages.length
    ? { ...base, status: "stopped", exitCode: ExitCode.temporary }
    : { ...base, status: "ok", exitCode: ExitCode.ok };
}

function hasSweep(plan: Plan): plan is Plan & { sweep: SweepPlan } {
  return plan.sweep !== undefined;
}

/** Memory to share: the machine's, or what a container may use. */
function memoryBytes(): number {
  // Absent in older versions of Node 20; 0 where there is no limit.
  const { constrainedMemory } = process as { constrainedMemory?: () => number };
  const limit = constrainedMemory?.call(process) ?? 0;
  return limit > 0 ? Math.min(limit, totalmem()) : totalmem();
}

/** Returns a copy of plain data in which all texts are redacted. */
function redactText<T extends object>(data: T, redact: (text: string) => string): T {
  return JSON.parse(redact(JSON.stringify(data))) as T;
}

function trialStatuses(
  trials: Trials,
  results: Readonly<Record<string, StageResult>>,
  failures: readonly StageFailure[],
): Record<string, TrialStatus> {
  const failed = new Set(failures.map(({ stage }) => stage));
  const statuses = trials.statuses((stage) =>
    Object.hasOwn(results, stage) ? "finished" : failed.has(stage) ? "failed" : "other",
  );
  return Object.fromEntries(statuses);
}
