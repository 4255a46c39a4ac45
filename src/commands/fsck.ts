/** @file `dllm fsck [run]` checks everything that a run has on disk. Exit code 3 when it finds something. */
import { join, resolve } from "node:path";
import { DllmError, ExitCode, errorMessage } from "../base/errors.js";
import { sanitize } from "../base/sanitize.js";
import { findRun, listRuns } from "../report/run-data.js";
import { checkRuns, type FsckReport, type Problem } from "../run/fsck.js";
import type { CommandIo, FsckCommand } from "./command.js";

export const run: FsckCommand = async ([name], { runs, repair, secret, json }, io) => {
  const directories =
    name === undefined
      ? listRuns(runs).map((each) => resolve(runs, each))
      : [resolve(findRun(name, runs))];
  const options = {
    runsRoot: name === undefined ? resolve(runs) : join(directories[0]!, ".."),
    runs: directories,
    wholeStore: name === undefined,
    ...(secret === undefined ? {} : { secret: valueOf(secret) }),
  };
  const report = await checkRuns(options);
  const left = repair ? await repairAll(report.problems, io) : report.problems;
  if (json) {
    const problems = left.map(({ path, problem, repair: offered }) => {
      return { path, problem, repair: offered?.what ?? null };
    });
    io.out(JSON.stringify({ ok: left.length === 0, ...report.checked, problems }, null, 2));
  } else {
    for (const line of reportLines({ ...report, problems: left }, repair)) io.out(line);
  }
  return left.length === 0 ? ExitCode.ok : ExitCode.expectationFailed;
};

/** Given by the name of a variable: what stands on a command line is seen by everybody. */
function valueOf(variable: string): string {
  const value = process.env[variable];
  if (value) return value;
  throw new DllmError(`--secret ${variable}: the environment variable is not set`, {
    exitCode: ExitCode.usage,
  });
}

/** Applies what can be applied and returns the problems that are left. */
async function repairAll(problems: readonly Problem[], io: CommandIo): Promise<Problem[]> {
  const left: Problem[] = [];
  for (const problem of problems) {
    const { path, repair } = problem;
    if (!repair) {
      left.push(problem);
      continue;
    }
    try {
      await repair.apply();
      io.err(sanitize(`repaired  ${path}: ${problem.problem}: ${repair.what}`));
    } catch (error) {
      left.push({ path, problem: `${problem.problem}; not repaired: ${errorMessage(error)}` });
    }
  }
  return left;
}

function reportLines({ problems, checked }: FsckReport, repaired: boolean): string[] {
  const { runs, stages, files } = checked;
  const what = `${count(runs, "run")}, ${count(stages, "stage")}, ${count(files, "file")}`;
  if (runs + stages === 0) return ["there are no runs to check"];
  if (problems.length === 0) return [`everything is in order: ${what}`];
  const canRepair = !repaired && problems.some(({ repair }) => repair);
  return [
    ...problems.flatMap(({ path, problem, repair }) => [
      // Most problems come from checks that name their file.
      sanitize(problem.startsWith(path) ? problem : `${path}: ${problem}`),
      ...(repair ? [sanitize(`  --repair would ${repair.what}`)] : []),
    ]),
    `${count(problems.length, "problem")} in ${what}`,
    ...(canRepair ? ["the next run recovers what it needs; or run the command with --repair"] : []),
  ];
}

function count(n: number, noun: string): string {
  return `${n} ${noun}${n === 1 ? "" : "s"}`;
}
