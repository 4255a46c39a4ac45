/**
 * @file Reads what is known of a run from its directory. Everything in it is read as found:
 * a missing or damaged file becomes a remark in the report, never a failure of the report.
 */
import { existsSync, readdirSync, statSync } from "node:fs";
import { basename, join } from "node:path";
import { DllmError, ExitCode } from "../base/errors.js";
import { readJson } from "../base/fs.js";
import { readJsonLines } from "../base/json-lines.js";
import { readMetrics, type Metrics } from "./metrics.js";

/** One figure of an evaluation, as `results.json` of an eval stage holds it. */
export interface EvalResult {
  task: string;
  metric: string;
  value: number;
  stderr?: number;
  n?: number;
  /** How it was measured: equal protocols are comparable. */
  protocol?: string;
}

/** A generated answer, as `samples.jsonl` of an eval stage holds it. */
export interface Sample {
  skill: string;
  prompt: string;
  expected: string;
  /** What the model said. */
  text: string;
  match: boolean | undefined;
}

export interface ReportStage {
  id: string;
  kind: string;
  fingerprint: string;
  action: string;
  reason: string;
  /** Input name to stage id. */
  inputs: Readonly<Record<string, string>>;
  state: "finished" | "failed" | "unfinished";
  /** Of result.json; undefined where the stage has not finished. */
  seconds: number | undefined;
  peakRssBytes: number | undefined;
  startedAt: string | undefined;
  finishedAt: string | undefined;
  artifact: string | undefined;
  /** Why it failed, where it did. */
  error: string | undefined;
  figures: Readonly<Record<string, unknown>>;
  metrics: Metrics;
  results: readonly EvalResult[];
  samples: readonly Sample[];
}

export interface RunData {
  name: string;
  directory: string;
  /** The recipe's file as it was given. */
  recipeFile: string;
  recipe: unknown;
  stages: readonly ReportStage[];
  /** Files that are missing or damaged, in words. */
  remarks: readonly string[];
}

type JsonRecord = Record<string, unknown>;

function isRecord(value: unknown): value is JsonRecord {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
const textOf = (value: unknown): string => (typeof value === "string" ? value : "");
const numberOf = (value: unknown): number | undefined =>
  typeof value === "number" && Number.isFinite(value) ? value : undefined;

function isDirectory(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false;
}

/** Returns the names of the runs in a directory of runs, in alphabetical order. */
export function listRuns(runs: string): string[] {
  if (!isDirectory(runs)) return [];
  return (
    readdirSync(runs)
      // A file may lie there too, and then nothing is below it.
      .filter((name) => !name.startsWith(".") && existsSync(join(runs, name, "plan.json")))
      .sort()
  );
}

/**
 * Returns the directory of a run that was given by name or by path.
 * @throws DllmError 66 that lists the runs there are
 */
export function findRun(run: string, runs: string): string {
  const candidates = [join(runs, run), run];
  const found = candidates.find((path) => existsSync(join(path, "plan.json")));
  if (found !== undefined) return found;
  const names = listRuns(runs);
  throw new DllmError(`no run "${run}" in ${runs}`, {
    exitCode: ExitCode.notFound,
    details: [
      names.length > 0 ? `runs there: ${names.join(", ")}` : "there are no runs yet",
      "start one with: dllm run <recipe.yaml>",
    ],
  });
}

/** Reads a JSON file, or notes why it cannot be read. */
function tryJson(path: string, remarks: string[], required: boolean): unknown {
  try {
    return readJson(path);
  } catch (error) {
    if (!(error instanceof DllmError)) throw error;
    if (required || error.exitCode !== ExitCode.notFound) remarks.push(error.message);
    return undefined;
  }
}

/** Returns the rows of a results.json that are figures; others are left out with a remark. */
function readResults(path: string, remarks: string[], required: boolean): EvalResult[] {
  const content = tryJson(path, remarks, required);
  if (content === undefined) return [];
  const rows = Array.isArray(content) ? (content as unknown[]) : [];
  const results = rows.flatMap((row): EvalResult[] => {
    if (!isRecord(row)) return [];
    const { task, metric, value, stderr, n, protocol } = row;
    if (typeof task !== "string" || typeof metric !== "string" || typeof value !== "number") {
      return [];
    }
    const shown = typeof protocol === "string" ? protocol : JSON.stringify(protocol);
    return [
      {
        task,
        metric,
        value,
        ...(typeof stderr === "number" && { stderr }),
        ...(typeof n === "number" && { n }),
        ...(shown !== undefined && { protocol: shown }),
      },
    ];
  });
  if (!Array.isArray(content) || results.length < rows.length) {
    remarks.push(`${path}: ${rows.length - results.length || "all"} rows are not figures`);
  }
  return results;
}

/** Returns the rows of a samples.jsonl. */
function readSamples(path: string): Sample[] {
  return readJsonLines<JsonRecord>(path).records.map((row) => ({
    skill: textOf(row["skill"]),
    prompt: textOf(row["prompt"]),
    expected: textOf(row["expected"]),
    text: textOf(row["text"]),
    match: typeof row["match"] === "boolean" ? row["match"] : undefined,
  }));
}

// A plan is our own file, but a path made from it must not leave the run.
const plainName = /^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/;

function readStage(directory: string, planned: JsonRecord, remarks: string[]): ReportStage {
  const id = textOf(planned["id"]);
  const working = join(directory, "stages", plainName.test(id) ? id : "invalid-name");
  const fingerprint = textOf(planned["fingerprint"]);
  const result = tryJson(join(working, "result.json"), remarks, false);
  const error = tryJson(join(working, "error.json"), remarks, false);
  const finished =
    isRecord(result) && result["reason"] === "ok" && result["fingerprint"] === fingerprint;
  const record: JsonRecord = finished ? result : {};
  const isEval = planned["kind"] === "eval";
  const output = join(working, "output");
  const metrics = readMetrics(join(working, "metrics.jsonl"));
  if (metrics.badLines > 0) {
    remarks.push(`${join(working, "metrics.jsonl")}: ${metrics.badLines} lines are no records`);
  }
  return {
    id,
    kind: textOf(planned["kind"]),
    fingerprint,
    action: textOf(planned["action"]),
    reason: textOf(planned["reason"]),
    inputs: Object.fromEntries(
      Object.entries(isRecord(planned["inputs"]) ? planned["inputs"] : {}).map(([name, stage]) => [
        name,
        textOf(stage),
      ]),
    ),
    state: finished ? "finished" : isRecord(error) ? "failed" : "unfinished",
    seconds: numberOf(record["totalSeconds"]),
    peakRssBytes: numberOf(record["peakRssBytes"]),
    startedAt: textOf(record["startedAt"]) || undefined,
    finishedAt: textOf(record["finishedAt"]) || undefined,
    artifact: textOf(record["artifact"]) || undefined,
    error: !finished && isRecord(error) ? textOf(error["message"]) : undefined,
    figures: isRecord(record["metrics"]) ? record["metrics"] : {},
    metrics,
    results: isEval ? readResults(join(output, "results.json"), remarks, finished) : [],
    samples: isEval ? readSamples(join(output, "samples.jsonl")) : [],
  };
}

/**
 * Returns what is known of a run.
 * @throws DllmError 65 when its plan.json is no plan
 */
export function loadRun(directory: string): RunData {
  const remarks: string[] = [];
  const planPath = join(directory, "plan.json");
  const plan = readJson(planPath);
  if (!isRecord(plan) || !Array.isArray(plan["stages"])) {
    throw new DllmError(`${planPath}: not a plan: found no list of stages`, {
      exitCode: ExitCode.invalidInput,
      details: ["run the recipe again to write a new one"],
    });
  }
  const stages = (plan["stages"] as unknown[]).filter(isRecord);
  return {
    name: textOf(plan["name"]) || basename(directory),
    directory,
    recipeFile: textOf(plan["recipe"]),
    recipe: tryJson(join(directory, "recipe.resolved.json"), remarks, true),
    stages: stages.map((stage) => readStage(directory, stage, remarks)),
    remarks,
  };
}
