/**
 * @file `metrics.jsonl` of a stage: one write per record. After a resume from step S the records
 * beyond S appear again; readers take the last value of each figure per step.
 */
import { join } from "node:path";
import { openJsonLines } from "../base/json-lines.js";
import { stageFiles } from "../plan/stage-files.js";
import type { MetricRecord } from "../plan/stage.js";

export interface MetricsFile {
  append(record: MetricRecord): void;
  close(): void;
}

/** JSON has no NaN or Infinity: they become the strings `"NaN"`, `"Infinity"`, `"-Infinity"`. */
function finiteOrText(_key: string, value: unknown): unknown {
  return typeof value === "number" && !Number.isFinite(value) ? String(value) : value;
}

/** Returns one line of metrics.jsonl: `step` first, then the other fields as they come. */
export function metricLine({ step, ...figures }: MetricRecord): string {
  return JSON.stringify({ step, ...figures }, finiteOrText);
}

/** Opens the file for appending; a line torn by a crash goes to metrics.torn. */
export function openMetrics(workingDirectory: string): MetricsFile {
  const file = openJsonLines(join(workingDirectory, stageFiles.metrics), {
    tornPath: join(workingDirectory, stageFiles.tornMetrics),
  });
  return { append: (record) => file.append(metricLine(record)), close: file.close };
}
