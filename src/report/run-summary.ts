/** @file What `dllm run` says at the end: figures, where things are, and what to do next. */
import { join } from "node:path";
import { sanitize } from "../base/sanitize.js";
import { compareEvaluations } from "./comparison.js";
import { formatMetric } from "./format.js";
import type { RunData } from "./run-data.js";

/** Returns the figures of a run's evaluations as a table, one column per evaluated model. */
export function evaluationLines(run: RunData): string[] {
  const { models, rows } = compareEvaluations(run);
  if (rows.length === 0) return [];
  const table = [
    ["evaluation", "", ...models],
    ...rows.map(({ task, skill, metric, results }) => [
      skill === undefined ? task : `  ${skill}`,
      metric,
      ...results.map((result) => (result ? formatMetric(metric, result.value) : "-")),
    ]),
  ].map((row) => row.map(sanitize));
  const widths = table[0]!.map((_, column) => Math.max(...table.map((row) => row[column]!.length)));
  return table.map((row) =>
    row
      .map((cell, i) => (i < 2 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!)))
      .join("  ")
      .trimEnd(),
  );
}

/** Returns where the report and the model of a finished run are, and how to go on. */
export function nextStepLines(
  run: RunData,
  {
    report,
    shown,
  }: { report: string; /** The run's directory as the user types it. */ shown: string },
): string[] {
  const exported = run.stages.find(({ kind }) => kind === "export");
  const model = exported && join(shown, "stages", exported.id, "output");
  return [
    `report  ${report}`,
    ...(model === undefined ? [] : [`model   ${model}`]),
    `next    dllm chat ${shown}`,
    `        dllm sample ${shown} --prompt "…"`,
  ];
}
