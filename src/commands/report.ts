/** @file `dllm report <run>` writes a run's report.html and prints its path. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { ExitCode } from "../base/errors.js";
import { writeReport } from "../report/report.js";
import { findRun, listRuns } from "../report/run-data.js";
import type { ReportCommand } from "./command.js";

export const run: ReportCommand = async ([name], { runs }, { out }) => {
  // A directory of runs stands for all of them.
  const all = existsSync(join(name, "plan.json")) ? [] : listRuns(name);
  const directories = all.length > 0 ? all.map((one) => join(name, one)) : [findRun(name, runs)];
  for (const runDirectory of directories) out(await writeReport({ runDirectory }));
  return ExitCode.ok;
};
