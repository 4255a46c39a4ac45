/** @file `journal.jsonl`: what happened in every execution of a run, only ever appended to. */
import { openJsonLines, readJsonLines, type JsonLines } from "../base/json-lines.js";
import type { RunEvent, StampedEvent } from "../report/events.js";
import type { RunPaths } from "./run-paths.js";

export interface Journal {
  append(event: StampedEvent): void;
  close(): void;
}

/** Progress is for watching only. */
function isKept({ event }: RunEvent): boolean {
  return event !== "stage-progress";
}

/** What can be read from the store again need not be forced to the disk, a thousand times over. */
function isDurable({ event }: RunEvent): boolean {
  return event !== "stage-reused" && event !== "stage-skipped";
}

/**
 * Opens the journal of a run, whose lock the caller holds. Each change of state is on disk, with
 * what came before it, when append() returns.
 */
export function openJournal(paths: RunPaths): Journal {
  const file = openJsonLines(paths.journal, { tornPath: paths.tornJournal });
  return {
    append(event) {
      if (isKept(event)) file.append(JSON.stringify(event), { durable: isDurable(event) });
    },
    close: file.close,
  };
}

/** Returns the events of all executions of a run, oldest first. */
export function readJournal(paths: RunPaths): JsonLines<StampedEvent> {
  return readJsonLines<StampedEvent>(paths.journal);
}
