/** @file `dllm run <recipe>` computes what is missing of a recipe and says how it went. */
import { existsSync } from "node:fs";
import { join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { DllmError, type ExitCode } from "../base/errors.js";
import type { JsonObject } from "../base/json.js";
import { hubName } from "../data/hub-name.js";
import { openHub } from "../hub/hub.js";
import { keptListing, type HubFile } from "../hub/repository.js";
import { readHubSettings } from "../hub/settings.js";
import { refuseBlocked } from "../plan/blocked.js";
import type { SourceParams } from "../plan/params.js";
import type { LoadedRecipe } from "../recipe/load.js";
import { formatDuration } from "../report/format.js";
import { createProgress, type ProgressOptions } from "../report/progress.js";
import { writeReport } from "../report/report.js";
import { loadRun } from "../report/run-data.js";
import { evaluationLines, nextStepLines } from "../report/run-summary.js";
import type { RunOutcome } from "../run/execution.js";
import { executePlan } from "../run/executor.js";
import { gpuPool, presentGpus } from "../run/gpu-slots.js";
import { selectStages } from "../run/selection.js";
import { endBySignal, listenForSignals } from "../run/signals.js";
import type { CommandIo, FrozenOptions, JsonOptions, RunCommand, RunsOptions } from "./command.js";
import { commandLine } from "./command-line.js";
import { describeStages, refuseTooLarge } from "./describe-plan.js";
import { estimateDiskNeed } from "./disk-need.js";
import { resolveLocked } from "./locked.js";
import { loadWithOptions, makePlan, type RecipePlan } from "./recipe-plan.js";
import { requireDevices } from "./require-devices.js";
import { settleOptions, type RawExecuteOptions } from "./run-options.js";

const stageScript = fileURLToPath(new URL("../stages/process.js", import.meta.url));

// A line per stage has no room in less (a pseudo-terminal may even say 0).
const LIVE_COLUMNS = 40;

export const run: RunCommand = async ([recipe, overrides], raw, io) => {
  // Asks nothing of others: the plan is made and shown.
  if (raw.dryRun) return showPlan([recipe, overrides], raw, io);
  return runRecipe(await loadWithOptions(recipe, overrides, raw), raw, io);
};

/** Runs a recipe; `announce` sees its plan before anything happens and may refuse it. */
export async function runRecipe(
  loaded: LoadedRecipe,
  raw: RunsOptions & JsonOptions & RawExecuteOptions & Partial<FrozenOptions>,
  io: CommandIo,
  announce: (planned: RecipePlan) => void = () => undefined,
): Promise<ExitCode> {
  const options = settleOptions(raw);
  const { runs, json } = raw;
  const started = performance.now();
  const planned = await makePlan(
    loaded,
    { runs, frozen: raw.frozen ?? false },
    // A frozen recipe says all its commits itself.
    raw.frozen === true ? undefined : (each) => resolveLocked(each, io),
  );
  announce(planned);
  const { plan, store, paths } = planned;
  const { selected } = selectStages(plan, options);
  refuseBlocked({ stages: plan.stages.filter(({ id }) => selected.has(id)) });
  refuseTooLarge(loaded, describeStages(planned));
  await requireDevices(plan.stages.filter(({ id }) => selected.has(id)));
  const signals = listenForSignals();
  const progress = await createProgress({
    mode: progressMode(raw, io),
    out: io.out,
    err: io.err,
    now: () => performance.now(),
  });
  signals.onStatusRequest(() => io.err(progress.status()));
  let outcome: RunOutcome;
  try {
    outcome = await executePlan({
      ...options,
      plan,
      recipe: loaded.recipe as unknown as JsonObject,
      runsRoot: resolve(runs),
      store,
      stageScript,
      gpus: gpuPool(process.env["CUDA_VISIBLE_DEVICES"], presentGpus()),
      disk: {
        need: estimateDiskNeed({ plan, store, selected, listing: listedFiles }),
        force: options.force,
      },
      emit: progress.sink,
      allowRestart: options.allowRestart,
      stop: signals.stop,
      kill: signals.kill,
      onCheckpointRequest: (listener) => signals.onCheckpointRequest(listener),
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
  if (!json && !options.quiet) {
    const seconds = (performance.now() - started) / 1000;
    for (const line of closingLines(outcome, { shown, seconds })) io.out(line);
  }
  if (outcome.failures.length > 0) throw failureOf(outcome);
  if (outcome.status === "stopped") {
    io.err(`stopped; to go on: ${commandLine(["run", loaded.file], { ...loaded.layers, runs })}`);
    const signal = signals.received();
    if (signal) endBySignal(signal);
  }
  return outcome.exitCode as ExitCode;
}

/** What the hub's listing in the cache says of a source. */
function listedFiles({ name, hub }: SourceParams): readonly HubFile[] | undefined {
  if (hub?.commit === undefined) return undefined;
  const repository = { kind: "dataset", name: hubName(name), commit: hub.commit } as const;
  return keptListing(openHub(readHubSettings(process.env)), repository);
}

/** The plan, and which of its stages --until and --from leave. */
export async function showPlan(
  [recipe, overrides]: Parameters<RunCommand>[0],
  raw: Parameters<RunCommand>[1],
  io: CommandIo,
): Promise<ExitCode> {
  const exitCode = await (
    await import("./plan.js")
  ).run([recipe, overrides], { ...raw, format: "tree" }, io);
  if (raw.until.length === 0 && raw.from.length === 0) return exitCode;
  const { plan } = await makePlan(await loadWithOptions(recipe, overrides, raw), raw);
  const { selected } = selectStages(plan, raw);
  io.err(`--until and --from leave: ${[...selected].join(", ") || "no stage"}`);
  return exitCode;
}

function progressMode(
  { json, quiet }: { json: boolean; quiet: boolean },
  { isTty, columns }: CommandIo,
): ProgressOptions["mode"] {
  if (json) return "json";
  if (quiet) return "quiet";
  return isTty && columns >= LIVE_COLUMNS ? "live" : "plain";
}

/** One failure in its own words, or a list of several. */
function failureOf({ failures, skipped, exitCode }: RunOutcome): DllmError {
  const code = exitCode as ExitCode;
  const [first, ...others] = failures;
  if (others.length === 0) {
    return new DllmError(first!.message, { exitCode: code, details: first!.details });
  }
  const kept = skipped.length === 0 ? "" : `, and ${skipped.length} could not run`;
  return new DllmError(`${failures.length} stages failed${kept}`, {
    exitCode: code,
    details: failures.flatMap(({ message, details }) => [
      message,
      ...details.map((line) => `  ${line}`),
    ]),
  });
}

function closingLines(
  outcome: RunOutcome,
  { shown, seconds }: { shown: string; seconds: number },
): string[] {
  if (outcome.status !== "ok") return [];
  const data = loadRun(outcome.directory);
  const { ran, reused } = outcome;
  const nothing = `nothing to do: all ${reused.length} stages are finished and unchanged`;
  const done = `done in ${formatDuration(seconds)}: ${count(ran.length, "stage")} run, ${reused.length} reused`;
  const trials = trialCounts(outcome.trials);
  const table = evaluationLines(data);
  return [
    "",
    ran.length === 0 && outcome.skipped.length === 0 ? nothing : done,
    ...(trials === "" ? [] : [trials]),
    "",
    ...table,
    ...(table.length > 0 ? [""] : []),
    ...nextStepLines(data, { report: join(shown, "report.html"), shown }),
  ];
}

/** `trials: 9 finished, 2 stopped early`; empty where there are none. */
function trialCounts(trials: RunOutcome["trials"]): string {
  const counts = new Map<string, number>();
  for (const status of Object.values(trials ?? {})) {
    counts.set(status, (counts.get(status) ?? 0) + 1);
  }
  const texts = [...counts].map(([status, n]) => `${n} ${status.replace("_", " ")}`);
  return texts.length === 0 ? "" : `trials: ${texts.join(", ")}`;
}

function count(n: number, noun: string): string {
  return `${n} ${noun}${n === 1 ? "" : "s"}`;
}

/** A path as short as it can be typed here. */
function shownPath(path: string): string {
  const fromHere = relative(process.cwd(), path);
  return fromHere.startsWith("..") ? path : fromHere;
}
