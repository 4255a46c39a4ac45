/** @file `dllm logs <run> [stage]` shows what a stage wrote, and with -f what it writes. */
import { ExitCode } from "../base/errors.js";
import { findRun } from "../report/run-data.js";
import { openLogTail } from "../run/log-tail.js";
import { chooseStage, followLog, logPath } from "../run/logs.js";
import type { LogsCommand } from "./command.js";

export const run: LogsCommand = async ([name, wanted], { runs, follow, lines }, io) => {
  const directory = findRun(name, runs);
  const stage = chooseStage(directory, wanted);
  // Which stage was chosen is a message; what it wrote is the data.
  if (wanted === undefined) io.err(`stage ${stage} (${logPath(directory, stage)})`);
  if (follow) {
    await followLog({
      directory,
      stage: wanted,
      lines,
      onLine: io.out,
      onStage: (next) => io.err(`stage ${next} (${logPath(directory, next)})`),
    });
    return ExitCode.ok;
  }
  const tail = openLogTail(logPath(directory, stage), lines);
  for (const line of [...tail.read(), ...tail.rest()]) io.out(line);
  return ExitCode.ok;
};
