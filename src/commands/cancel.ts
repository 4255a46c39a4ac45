/** @file `dllm cancel <run>` asks a run's executor to stop and waits until it has. */
import { ExitCode } from "../base/errors.js";
import { sanitize } from "../base/sanitize.js";
import { findRun } from "../report/run-data.js";
import { cancelRun } from "../run/cancel.js";
import { readRunStatus } from "../run/run-status.js";
import { commandLine } from "./command-line.js";
import type { CancelCommand } from "./command.js";

export const run: CancelCommand = async ([name], { runs, kill, timeout }, io) => {
  const directory = findRun(name, runs);
  const wasRunning = await cancelRun({
    directory,
    kill,
    timeoutMs: timeout * 1000,
    onSignal: ({ pid }, signal) => io.err(`sent ${signal} to process ${pid}, waiting for its end`),
  });
  const { run: title, stages } = readRunStatus(directory);
  if (!wasRunning) {
    io.out(`${sanitize(title)} is not running`);
    return ExitCode.ok;
  }
  const open = stages.filter(({ state }) => state !== "finished");
  const resumable = open.filter(({ checkpointStep }) => checkpointStep !== undefined);
  const kept = resumable.map(({ id, checkpointStep }) => `${id} at step ${checkpointStep}`);
  io.out(`${sanitize(title)} is stopped${kept.length > 0 ? `: ${kept.join(", ")}` : ""}`);
  if (open.length > 0) io.out(`to go on: ${commandLine(["resume", name], { runs })}`);
  return ExitCode.ok;
};
