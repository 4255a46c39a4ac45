/** @file `dllm run <recipe>` computes what is missing of a recipe and says how it went. */
import { existsSync } from "node:fs";
import { join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { DllmError, type ExitCode } from "../base/errors.js";
import type { JsonObject } from "../base/json.js";
import { refuseBlocked } from "../plan/blocked.js";
import type { LoadedRecipe } from "../recipe/load.js";
import { formatDuration } from "../report/format.js";
import { createProgress } from "../report/progress.js";
import { writeReport } from "../report/report.js";
import { loadRun } from "../report/run-data.js";
import { evaluationLines, nextStepLines } from "../report/run-summary.js";
import type { RunOutcome } from "../run/execution.js";
import { executePlan } from "../run/executor.js";
import { endBySignal, listenForSignals } from "../run/signals.js";
import type { RunCommand } from "./command.js";
import { loadWithOptions, makePlan } from "./recipe-plan.js";

const stageScript = fileURLToPath(new URL("../stages/process.js", import.meta.url));

// A line per stage has no room in less (a pseudo-terminal may even say 0).
const LIVE_COLUMNS = 40;

export const run: RunCommand = async ([recipe, overrides], options, io) => {
  const { runs, json } = options;
  const started = performance.now();
  const loaded = await loadWithOptions(recipe, overrides, options);
  const { plan, store, paths } = await makePlan(loaded, runs);
  refuseBlocked(plan);
  const signals = listenForSignals();
  const progress = await createProgress({
    mode: json ? "json" : io.isTty && io.columns >= LIVE_COLUMNS ? "live" : "plain",
    out: io.out,
    err: io.err,
    now: () => performance.now(),
  });
  let outcome: RunOutcome;
  try {
    outcome = await executePlan({
      plan,
      recipe: loaded.recipe as unknown as JsonObject,
      runsRoot: resolve(runs),
      store,
      stageScript,
      emit: progress.sink,
      stop: signals.stop,
      kill: signals.kill,
    });
  } finally {
    await progress.end();
    signals.dispose();
  }
  const shown = shownPath(paths.directory);
  if (outcome.ran.length > 0 || !existsSync(paths.report)) {
    await writeReport({ runDirectory: paths.directory });
  }
  // Events say all of this to a program.
  if (!json) {
    const seconds = (performance.now() - started) / 1000;
    for (const line of closingLines(outcome, { shown, seconds })) io.out(line);
  }
  if (outcome.failures.length > 0) {
    const { message, details, exitCode } = outcome.failures[0]!;
    throw new DllmError(message, { exitCode: exitCode as ExitCode, details });
  }
  if (outcome.status === "stopped") {
    io.err(`stopped; to go on: ${commandLine(loaded, runs)}`);
    const signal = signals.received();
    if (signal) endBySignal(signal);
  }
  return outcome.exitCode as ExitCode;
};

function closingLines(
  outcome: RunOutcome,
  { shown, seconds }: { shown: string; seconds: number },
): string[] {
  if (outcome.status !== "ok") return [];
  const data = loadRun(outcome.directory);
  const { ran, reused } = outcome;
  const nothing = `nothing to do: all ${reused.length} stages are finished and unchanged`;
  const done = `done in ${formatDuration(seconds)}: ${count(ran.length, "stage")} run, ${reused.length} reused`;
  const table = evaluationLines(data);
  return [
    "",
    ran.length === 0 ? nothing : done,
    "",
    ...table,
    ...(table.length > 0 ? [""] : []),
    ...nextStepLines(data, { report: join(shown, "report.html"), shown }),
  ];
}

function count(n: number, noun: string): string {
  return `${n} ${noun}${n === 1 ? "" : "s"}`;
}

/** A path as short as it can be typed here. */
function shownPath(path: string): string {
  const fromHere = relative(process.cwd(), path);
  return fromHere.startsWith("..") ? path : fromHere;
}

function commandLine({ file, layers: { profiles, set } }: LoadedRecipe, runs: string): string {
  const quoted = (text: string) => (/^[\w./=:@,+-]+$/.test(text) ? text : `'${text}'`);
  const settings = set.flatMap((each) => ["--set", quoted(each)]);
  const root = runs === "runs" ? [] : ["--runs", quoted(runs)];
  const profile = profiles.flatMap((name) => ["--profile", quoted(name)]);
  return ["dllm run", quoted(file), ...profile, ...settings, ...root].join(" ");
}
