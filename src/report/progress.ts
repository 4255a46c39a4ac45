/**
 * @file Progress of a run for whoever watches: a live display on a terminal, plain lines
 * elsewhere, or the events themselves as NDJSON.
 */
import type { EventSink, StampedEvent } from "./events.js";
import { createPlainProgress } from "./progress-plain.js";

export interface ProgressDisplay {
  sink: EventSink;
  /** Resolves when the display has written everything and left the terminal as it was. */
  end(): Promise<void>;
}

export interface ProgressOptions {
  mode: "live" | "plain" | "json";
  /** A line to stdout. */
  out: (line: string) => void;
  /** A line to stderr. */
  err: (line: string) => void;
  /** Monotonic milliseconds. */
  now: () => number;
}

/** Returns the display of a run; it takes every event of the run in order. */
export async function createProgress(options: ProgressOptions): Promise<ProgressDisplay> {
  switch (options.mode) {
    case "live":
      // Only a terminal needs listr2.
      return (await import("./progress-live.js")).createLiveProgress(options);
    case "plain":
      return createPlainProgress(options);
    case "json": {
      const sink = (event: StampedEvent) => options.out(JSON.stringify(event));
      return { sink, end: () => Promise.resolve() };
    }
  }
}
