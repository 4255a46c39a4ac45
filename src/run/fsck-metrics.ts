/**
 * @file Checks a stage's metrics.jsonl: a resumed attempt repeats the steps after its checkpoint,
 * all of them, and with the same figures, for a resume is exact.
 */
import type { MetricRecord } from "../plan/stage.js";
import type { Problem } from "./fsck.js";

/** Figures of how fast it went, not of what was computed. */
const OF_TIME = /per_second|seconds|_ms$|_s$|rss|memory/;

/** Returns where the records of several attempts do not fit together. */
export function checkMetrics(path: string, records: readonly MetricRecord[]): Problem[] {
  const problems: Problem[] = [];
  const known = new Map<number, Map<string, unknown>>();
  // Steps that an earlier attempt has recorded and this one has yet to repeat, ascending.
  let owed: number[] = [];
  let previous = -Infinity;
  for (const { step, ...figures } of records) {
    if (!Number.isFinite(step)) {
      problems.push({ path, problem: `a record has the step ${JSON.stringify(step)}` });
      continue;
    }
    if (step < previous) {
      owed = [...known.keys()].filter((each) => each >= step).sort((a, b) => a - b);
    }
    const skipped = owed.filter((each) => each < step);
    if (skipped.length > 0) {
      const which = skipped.length === 1 ? `step ${skipped[0]}` : `${skipped.length} steps`;
      problems.push({ path, problem: `${which} before step ${step} not repeated after a resume` });
    }
    owed = owed.filter((each) => each > step);
    previous = step;
    const values = known.get(step) ?? new Map<string, unknown>();
    known.set(step, values);
    for (const [name, value] of Object.entries(figures)) {
      if (OF_TIME.test(name)) continue;
      if (values.has(name) && JSON.stringify(values.get(name)) !== JSON.stringify(value)) {
        problems.push({
          path,
          problem: `step ${step} has ${name} ${String(values.get(name))} and, repeated, ${String(value)}: the resume was not exact`,
        });
      }
      values.set(name, value);
    }
  }
  return problems;
}
