/** @file Two runs side by side: where their recipes differ, and the figures of each. */
import type { EvalResult, RunData } from "../report/run-data.js";

export interface RecipeDifference {
  /** Key path of the resolved recipe: `sft.learning_rate`. */
  key: string;
  /** Undefined where a recipe has no such key. */
  before: unknown;
  after: unknown;
}

export interface FigureDifference {
  stage: string;
  /** The task of an evaluation, or undefined for a figure of the stage itself. */
  task?: string;
  metric: string;
  before: number | undefined;
  after: number | undefined;
}

export interface RunDifference {
  /** What the runs are called. */
  runs: readonly [string, string];
  recipe: RecipeDifference[];
  figures: FigureDifference[];
}

/** Returns what two runs have in common and what not; figures in the order of the stages. */
export function compareRuns(before: RunData, after: RunData): RunDifference {
  return {
    runs: [before.name, after.name],
    recipe: recipeDifferences(before.recipe, after.recipe, ""),
    figures: figureDifferences(figuresOf(before), figuresOf(after)),
  };
}

function recipeDifferences(before: unknown, after: unknown, key: string): RecipeDifference[] {
  if (isMap(before) && isMap(after)) {
    return Object.keys({ ...before, ...after }).flatMap((each) =>
      recipeDifferences(before[each], after[each], key === "" ? each : `${key}.${each}`),
    );
  }
  return JSON.stringify(before) === JSON.stringify(after) ? [] : [{ key, before, after }];
}

function isMap(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

type Figures = Map<string, Omit<FigureDifference, "before" | "after"> & { value: number }>;

function figuresOf({ stages }: RunData): Figures {
  const figures: Figures = new Map();
  const add = (stage: string, task: string | undefined, metric: string, value: unknown): void => {
    if (typeof value !== "number") return;
    const key = JSON.stringify([stage, task, metric]);
    figures.set(key, { stage, ...(task === undefined ? {} : { task }), metric, value });
  };
  for (const { id, figures: own, results, seconds } of stages) {
    const evaluated = (results as readonly EvalResult[]).length > 0;
    // An evaluation's results say the same as its figures, and more exactly what.
    for (const [name, value] of evaluated ? [] : Object.entries(own)) {
      add(id, undefined, name, value);
    }
    for (const { task, metric, value } of results) add(id, task, metric, value);
    add(id, undefined, "seconds", seconds);
  }
  return figures;
}

function figureDifferences(before: Figures, after: Figures): FigureDifference[] {
  return [...new Map([...before, ...after])].map(([key, { stage, task, metric }]) => ({
    stage,
    ...(task === undefined ? {} : { task }),
    metric,
    before: before.get(key)?.value,
    after: after.get(key)?.value,
  }));
}
