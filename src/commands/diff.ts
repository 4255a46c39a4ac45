/** @file `dllm diff <run> <run>` shows where two runs' recipes differ and their figures. */
import { ExitCode } from "../base/errors.js";
import { sanitize } from "../base/sanitize.js";
import { formatDuration, formatMetric } from "../report/format.js";
import { findRun, loadRun } from "../report/run-data.js";
import { compareRuns, type FigureDifference, type RunDifference } from "../run/run-diff.js";
import type { DiffCommand } from "./command.js";

export const run: DiffCommand = ([first, second], { runs, json }, io) => {
  const [before, after] = [first, second].map((name) => loadRun(findRun(name, runs)));
  for (const remark of [...before!.remarks, ...after!.remarks]) {
    io.err(`warning: ${sanitize(remark)}`);
  }
  const difference = compareRuns(before!, after!);
  // The same recipe below two directories: what was asked for tells them apart.
  if (before!.name === after!.name) difference.runs = [first, second];
  if (json) io.out(JSON.stringify(difference, null, 2));
  else for (const line of differenceLines(difference)) io.out(sanitize(line));
  return Promise.resolve(ExitCode.ok);
};

function differenceLines({ runs, recipe, figures }: RunDifference): string[] {
  const keys = recipe.map(({ key, before, after }) => [key, short(before), short(after)]);
  const values = figures.map((figure) => [
    [figure.stage, figure.task, figure.metric].filter((part) => part !== undefined).join("  "),
    show(figure, figure.before),
    show(figure, figure.after),
    change(figure),
  ]);
  return [
    ...(keys.length === 0
      ? ["the recipes are the same"]
      : table([["recipe", ...runs], ...keys], "left")),
    "",
    ...(values.length === 0
      ? ["there are no figures yet"]
      : table([["figure", ...runs, "difference"], ...values], "right")),
  ];
}

function short(value: unknown): string {
  if (value === undefined || value === null) return "none";
  const text = typeof value === "string" ? value : JSON.stringify(value);
  return text.length > 40 ? `${text.slice(0, 39)}…` : text;
}

function show({ metric }: FigureDifference, value: number | undefined): string {
  if (value === undefined) return "-";
  return metric === "seconds" ? formatDuration(value) : formatMetric(metric, value);
}

function change({ metric, before, after }: FigureDifference): string {
  if (before === undefined || after === undefined) return "";
  if (before === after) return "same";
  // Times differ from run to run: how much of them is news, says nothing about the recipe.
  if (metric === "seconds") return "";
  return `${after > before ? "+" : "-"}${formatMetric(metric, Math.abs(after - before))}`;
}

function table(rows: readonly (readonly string[])[], align: "left" | "right"): string[] {
  const widths = rows[0]!.map((_, column) =>
    Math.max(...rows.map((row) => (row[column] ?? "").length)),
  );
  const pad = (cell: string, i: number) =>
    i === 0 || align === "left" ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!);
  return rows.map((row) => row.map(pad).join("  ").trimEnd());
}
