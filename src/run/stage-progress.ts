/** @file How far a running stage is and how long it will take, from what it has recorded so far. */
import { closeSync, fstatSync, openSync, readSync } from "node:fs";
import { join } from "node:path";
import { stageFiles } from "../plan/stage-files.js";
import type { PlannedStage } from "../plan/stage.js";
import type { StampedEvent } from "../report/events.js";

export interface StageProgress {
  done: number;
  /** As the plan expected it. */
  total?: number;
  unit: string;
  /** At the speed since its process began; absent while that is a guess. */
  secondsLeft?: number;
}

/** When a stage's newest process began, and at which step. */
export interface StageStart {
  timeMs: number;
  step: number;
}

// Some records of training; a line is a few hundred bytes.
const TAIL_BYTES = 1 << 15;

/** Returns the newest starts by stage, from a run's journal. */
export function stageStarts(events: readonly StampedEvent[]): ReadonlyMap<string, StageStart> {
  const starts = new Map<string, StageStart>();
  for (const event of events) {
    const timeMs = Date.parse(event.time);
    if (event.event === "stage-started") starts.set(event.stage, { timeMs, step: 0 });
    if (event.event === "stage-resumed") starts.set(event.stage, { timeMs, step: event.step });
  }
  return starts;
}

/** Returns the progress of a stage with this working directory, undefined before its first record. */
export function readProgress(
  directory: string,
  { estimate }: Pick<PlannedStage, "estimate">,
  { start, nowMs }: { start: StageStart | undefined; nowMs: number },
): StageProgress | undefined {
  const done = lastRecord(join(directory, stageFiles.metrics), "step");
  if (done === undefined) return undefined;
  const { units: total, unit = "step" } = estimate ?? {};
  if (total === undefined) return { done, unit };
  const advanced = start ? done - start.step : 0;
  const elapsedSeconds = start ? (nowMs - start.timeMs) / 1000 : 0;
  if (advanced <= 0 || elapsedSeconds <= 0) return { done, total, unit };
  const secondsLeft = (Math.max(0, total - done) * elapsedSeconds) / advanced;
  return { done, total, unit, secondsLeft };
}

/** Returns the newest value of a figure in metrics.jsonl, reading only its end. */
export function lastRecord(path: string, figure: string): number | undefined {
  const lines = tail(path).split("\n");
  // What follows the last newline is torn or being written.
  for (const line of lines.slice(0, -1).reverse()) {
    try {
      const value = (JSON.parse(line) as Record<string, unknown> | null)?.[figure];
      if (typeof value === "number") return value;
    } catch {
      // Cut at the beginning of the tail, or damaged: an older one will do.
    }
  }
  return undefined;
}

function tail(path: string): string {
  let descriptor: number;
  try {
    descriptor = openSync(path, "r");
  } catch {
    return "";
  }
  try {
    const { size } = fstatSync(descriptor);
    const bytes = Buffer.alloc(Math.min(size, TAIL_BYTES));
    const read = readSync(descriptor, bytes, 0, bytes.length, size - bytes.length);
    return bytes.toString("utf8", 0, read);
  } finally {
    closeSync(descriptor);
  }
}
