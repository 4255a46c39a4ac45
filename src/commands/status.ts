/** @file `dllm status [run]` shows how far runs are. */
import { join } from "node:path";
import { ExitCode } from "../base/errors.js";
import { sanitize } from "../base/sanitize.js";
import { formatDuration, formatNumber } from "../report/format.js";
import { progressText } from "../report/progress-text.js";
import { findRun, listRuns } from "../report/run-data.js";
import { readRunStatus, type RunStatus, type StageStatus } from "../run/run-status.js";
import type { TrialStatus } from "../run/trial-status.js";
import type { StatusCommand } from "./command.js";

export const run: StatusCommand = ([name], { runs, json }, io) => {
  const directories =
    name === undefined ? listRuns(runs).map((each) => join(runs, each)) : [findRun(name, runs)];
  const all = directories.map((directory) => readRunStatus(directory));
  if (json) {
    io.out(JSON.stringify(name === undefined ? all : all[0], null, 2));
  } else if (all.length === 0) {
    io.out(`no runs in ${runs}; start one with: dllm run <recipe.yaml>`);
  } else {
    for (const line of name === undefined ? all.map(summary) : statusLines(all[0]!)) io.out(line);
  }
  return Promise.resolve(ExitCode.ok);
};

function summary({ run: name, state, stages }: RunStatus): string {
  const finished = stages.filter((stage) => stage.state === "finished").length;
  return `${name}  ${state}  ${finished} of ${stages.length} stages finished`;
}

function statusLines(status: RunStatus): string[] {
  const width = Math.max(...status.stages.map(({ id }) => id.length));
  return [
    summary(status),
    ...(status.holder === undefined ? [] : [`  by ${sanitize(status.holder)}`]),
    ...status.stages.map((stage) => `  ${stage.id.padEnd(width)}  ${stageText(stage)}`),
    ...trialLines(status.trials ?? []),
  ];
}

function stageText({ state, seconds, checkpointStep, progress, message }: StageStatus): string {
  return [
    state,
    ...(seconds === undefined ? [] : [`in ${formatDuration(seconds)}`]),
    ...(progress === undefined ? [] : [progressText(progress, progress.secondsLeft)]),
    ...(checkpointStep === undefined ? [] : [`checkpoint at step ${checkpointStep}`]),
    ...(message === undefined ? [] : [sanitize(message)]),
  ].join(", ");
}

function trialLines(trials: readonly TrialStatus[]): string[] {
  if (trials.length === 0) return [];
  const width = Math.max(...trials.map(({ id }) => id.length));
  return ["trials", ...trials.map((trial) => `  ${trial.id.padEnd(width)}  ${trialText(trial)}`)];
}

function trialText({ state, finishedStages, stages, metric, best }: TrialStatus): string {
  return [
    state,
    `${finishedStages} of ${stages} stages`,
    ...(metric === undefined ? [] : [formatNumber(metric)]),
    ...(best ? ["the best so far"] : []),
  ].join(", ");
}
