/**
 * @file Evaluations side by side: one row per figure, one column per evaluated model, in the
 * order in which the models came to be.
 */
import type { EvalResult, ReportStage, RunData } from "./run-data.js";

export interface ComparedRow {
  task: string;
  /** The part of a task, where its figures are given by part; undefined for the whole. */
  skill: string | undefined;
  metric: string;
  /** One per evaluated model; undefined where it has no such figure. */
  results: (EvalResult | undefined)[];
}

export interface Comparison {
  /** Names of the evaluated models: the stages that made them. */
  models: string[];
  rows: ComparedRow[];
}

/** Splits `exact_match/addition` into the task and its part. */
function splitTask(task: string): { task: string; skill: string | undefined } {
  const cut = task.search(/[/:]/);
  return cut < 0
    ? { task, skill: undefined }
    : { task: task.slice(0, cut), skill: task.slice(cut + 1) };
}

/** The stage whose model an eval stage evaluated; its own id where it does not say. */
export function evaluatedModel(stage: ReportStage): string {
  return stage.inputs["model"] ?? stage.id;
}

/** Returns the comparison of all evaluations of a run; without rows where there are none. */
export function compareEvaluations({ stages }: RunData): Comparison {
  const evals = stages
    .filter(({ kind, results }) => kind === "eval" && results.length > 0)
    .map((stage) => ({
      stage,
      order: stages.findIndex(({ id }) => id === stage.inputs["model"]),
    }))
    .sort((a, b) => a.order - b.order)
    .map(({ stage }) => stage);
  const rows = new Map<string, ComparedRow>();
  evals.forEach((stage, column) => {
    for (const result of stage.results) {
      const key = JSON.stringify([result.task, result.metric]);
      const row = rows.get(key) ?? {
        ...splitTask(result.task),
        metric: result.metric,
        results: evals.map(() => undefined),
      };
      row.results[column] = result;
      rows.set(key, row);
    }
  });
  // A task's parts follow the task, each in order of first appearance.
  const tasks = [...new Set([...rows.values()].map(({ task }) => task))];
  const ordered = tasks.flatMap((task) => {
    const own = [...rows.values()].filter((row) => row.task === task);
    return [
      ...own.filter(({ skill }) => skill === undefined),
      ...own.filter(({ skill }) => skill !== undefined),
    ];
  });
  return { models: evals.map(evaluatedModel), rows: ordered };
}
