/** @file `dllm results <run>` lists every figure of a run's evaluations. Writes nothing. */
import { ExitCode } from "../base/errors.js";
import { sanitize } from "../base/sanitize.js";
import { compareEvaluations, type Comparison } from "../report/comparison.js";
import { formatMetric } from "../report/format.js";
import { findRun, loadRun } from "../report/run-data.js";
import type { CommandIo, ResultsCommand } from "./command.js";

/** Pads columns to equal width; all but the first two are right-aligned. */
function table(rows: readonly (readonly string[])[]): string[] {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  return rows.map((row) =>
    row
      .map((cell, i) => (i < 2 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!)))
      .join("  ")
      .trimEnd(),
  );
}

function printTable({ models, rows }: Comparison, io: CommandIo): void {
  const lines = rows.map(({ task, skill, metric, results }) => [
    sanitize(skill === undefined ? task : `  ${skill}`),
    sanitize(metric),
    ...results.map((result) => {
      if (result === undefined) return "-";
      const error = result.stderr === undefined ? "" : ` ± ${formatMetric(metric, result.stderr)}`;
      return formatMetric(metric, result.value) + error;
    }),
    [...new Set(results.flatMap((result) => result?.n ?? []))].join(" / "),
  ]);
  const head = ["task", "metric", ...models.map((model) => `after ${sanitize(model)}`), "n"];
  for (const line of table([head, ...lines])) io.out(line);
}

export const run: ResultsCommand = async ([name], { runs, json }, io) => {
  const data = loadRun(findRun(name, runs));
  for (const remark of data.remarks) io.err(`warning: ${sanitize(remark)}`);
  if (json) {
    const rows = data.stages.flatMap(({ id, results }) =>
      results.map((result) => ({ stage: id, ...result })),
    );
    io.out(JSON.stringify(rows, null, 2));
    return ExitCode.ok;
  }
  const comparison = compareEvaluations(data);
  if (comparison.rows.length === 0) io.err(`no evaluation of run ${data.name} has finished yet`);
  else printTable(comparison, io);
  return ExitCode.ok;
};
