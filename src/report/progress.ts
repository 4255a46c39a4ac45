/**
 * @file Progress of a run for whoever watches: a live display on a terminal, plain lines
 * elsewhere, the events themselves as NDJSON, or only what went wrong.
 */
import type { EventSink, StampedEvent } from "./events.js";
import { createPlainProgress, noticeText } from "./progress-plain.js";
import { createRunView, statusLine } from "./run-view.js";

export interface ProgressDisplay {
  sink: EventSink;
  /** Resolves when the display has written everything and left the terminal as it was. */
  end(): Promise<void>;
  /** How far the run is, in one line. */
  status(): string;
}

export interface ProgressOptions {
  mode: "live" | "plain" | "json" | "quiet";
  /** A line to stdout. */
  out: (line: string) => void;
  /** A line to stderr. */
  err: (line: string) => void;
  /** Monotonic milliseconds. */
  now: () => number;
}

/** Returns the display of a run; it takes every event of the run in order. */
export async function createProgress(options: ProgressOptions): Promise<ProgressDisplay> {
  const view = createRunView(options.now);
  const display = await createDisplay(options);
  return {
    sink(event) {
      view.take(event);
      display.sink(event);
    },
    end: () => display.end(),
    status: () => statusLine(view),
  };
}

async function createDisplay(options: ProgressOptions): Promise<Omit<ProgressDisplay, "status">> {
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
    case "quiet": {
      const sink = (event: StampedEvent) => {
        const notice = noticeText(event);
        if (notice !== undefined) options.err(notice);
      };
      return { sink, end: () => Promise.resolve() };
    }
  }
}
