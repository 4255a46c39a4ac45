/**
 * @file Reads a stage's metrics.jsonl. A line that a crash has torn, or that is no record, is
 * counted and skipped. Where a step was logged twice (a resume repeats the steps after its
 * checkpoint), the last value of each figure counts.
 */
import { readJsonLines } from "../base/json-lines.js";

/** The figures of a stage by step. */
export interface Metrics {
  /** Ascending by step, each step once. */
  readonly records: readonly { step: number; figures: ReadonlyMap<string, number> }[];
  /** Names of the figures, in order of first appearance. */
  readonly names: readonly string[];
  /** Complete lines that are no records. */
  readonly badLines: number;
}

// JSON has no NaN and no infinity: the writer makes them text.
const notFinite: Readonly<Record<string, number>> = {
  NaN: NaN,
  Infinity: Infinity,
  "-Infinity": -Infinity,
};

function toNumber(value: unknown): number | undefined {
  if (typeof value === "number") return value;
  return typeof value === "string" && Object.hasOwn(notFinite, value)
    ? notFinite[value]
    : undefined;
}

/** Returns the figures of a metrics.jsonl; an absent file has none. */
export function readMetrics(path: string): Metrics {
  const { records: lines, badLines } = readJsonLines<Record<string, unknown>>(path);
  const bySteps = new Map<number, Map<string, number>>();
  const names = new Set<string>();
  let bad = badLines;
  for (const line of lines) {
    const step = line["step"];
    if (typeof step !== "number" || !Number.isFinite(step)) {
      bad++;
      continue;
    }
    const figures = bySteps.get(step) ?? new Map<string, number>();
    bySteps.set(step, figures);
    for (const [name, value] of Object.entries(line)) {
      const number = name === "step" ? undefined : toNumber(value);
      if (number === undefined) continue;
      names.add(name);
      figures.set(name, number);
    }
  }
  const records = [...bySteps]
    .map(([step, figures]) => ({ step, figures }))
    .sort((a, b) => a.step - b.step);
  return { records, names: [...names], badLines: bad };
}

/** One figure over the steps at which it was logged. */
export interface Series {
  steps: number[];
  values: number[];
}

/** Returns one figure over the steps; empty where it was never logged. */
export function seriesOf({ records }: Metrics, name: string): Series {
  const series: Series = { steps: [], values: [] };
  for (const { step, figures } of records) {
    const value = figures.get(name);
    if (value === undefined) continue;
    series.steps.push(step);
    series.values.push(value);
  }
  return series;
}

/**
 * Returns at most about `limit` points that keep every visible peak: of each bucket of points,
 * the least and the greatest; and the first and last point.
 */
export function decimate({ steps, values }: Series, limit: number): Series {
  if (steps.length <= limit) return { steps, values };
  const buckets = Math.max(1, Math.floor((limit - 2) / 2));
  const kept = new Set([0, steps.length - 1]);
  for (let bucket = 0; bucket < buckets; bucket++) {
    const start = Math.floor((bucket * steps.length) / buckets);
    const end = Math.floor(((bucket + 1) * steps.length) / buckets);
    let least = start;
    let greatest = start;
    for (let i = start; i < end; i++) {
      if (values[i]! < values[least]!) least = i;
      if (values[i]! > values[greatest]!) greatest = i;
      // A figure that is not a number is what the reader looks for.
      if (!Number.isFinite(values[i]!)) kept.add(i);
    }
    kept.add(least).add(greatest);
  }
  const order = [...kept].sort((a, b) => a - b);
  return { steps: order.map((i) => steps[i]!), values: order.map((i) => values[i]!) };
}
