/**
 * @file Progress as plain lines without times of day, for logs and pipes: the start and the end
 * of each stage, and where it is about every ten seconds.
 */
import { sanitize } from "../base/sanitize.js";
import { createEta, type EtaEstimator } from "./eta.js";
import { handleEvent, type StampedEvent } from "./events.js";
import { formatBytes, formatDuration } from "./format.js";
import { progressText } from "./progress-text.js";

const INTERVAL_MS = 10_000;

interface Output {
  out: (line: string) => void;
  err: (line: string) => void;
  now: () => number;
}

/** Returns what everybody should see at once about an event, if there is something. */
export function noticeText(event: StampedEvent): string | undefined {
  return handleEvent(event, {
    quarantined: ({ stage, problem, movedTo }) =>
      [
        `warning: stage ${stage}: ${sanitize(problem)}`,
        `  moved aside to ${movedTo}; what it held is computed again`,
      ].join("\n"),
    "stop-requested": ({ stage, signal }) => {
      const again = signal === "SIGINT" ? " (press Ctrl-C again to stop at once)" : "";
      return `stopping: stage ${stage} is saving its state${again}`;
    },
    "kill-requested": ({ stage }) => `stopping stage ${stage} at once; its last checkpoint is kept`,
    "stage-waiting": ({ stage, holder }) =>
      `stage ${stage}: being computed by ${sanitize(holder)}; waiting for it`,
    "stage-retrying": ({ stage, message, delaySeconds, retriesLeft }) =>
      `warning: ${sanitize(message)}; trying stage ${stage} again in ${formatDuration(delaySeconds)}, ` +
      (retriesLeft === 0 ? "for the last time" : `${retriesLeft} more if that fails too`),
    "stage-stalled": ({ stage, seconds }) =>
      `warning: stage ${stage} has reported nothing for ${formatDuration(seconds)} and is stopped`,
    "leftovers-killed": ({ stage, processes }) =>
      [
        `warning: stage ${stage} had left processes running; they were killed:`,
        ...processes.map(({ pid, command }) => `  ${pid} ${sanitize(command)}`),
      ].join("\n"),
    "log-cut": ({ stage, droppedBytes }) =>
      `warning: stage ${stage}: the log grew too large, ${formatBytes(droppedBytes)} were dropped`,
    "trial-stopped-early": ({ trial, metric, value, rung, rank, reached }) =>
      `trial ${trial} stopped early: ${metric} ${value} at report ${rung} is place ${rank} of ${reached}`,
    warning: ({ message }) => sanitize(message),
  });
}

export function createPlainProgress({ out, err, now }: Output): {
  sink: (event: StampedEvent) => void;
  end: () => Promise<void>;
} {
  const reasons = new Map<string, string>();
  const running = new Map<string, { eta: EtaEstimator; lastLineMs: number }>();

  function sink(event: StampedEvent): void {
    const notice = noticeText(event);
    if (notice !== undefined) err(notice);
    handleEvent(event, {
      "run-started": ({ stages }) => {
        for (const { id, reason } of stages) reasons.set(id, reason);
      },
      "stage-reused": ({ stage, reason }) => out(`${stage}: reused (${sanitize(reason)})`),
      "stage-started": ({ stage }) => {
        running.set(stage, { eta: createEta(), lastLineMs: now() });
        out(`${stage}: started (${sanitize(reasons.get(stage) ?? "")})`);
      },
      "stage-resumed": ({ stage, step }) => out(`${stage}: resumed at step ${step}`),
      "stage-progress": (progress) => {
        const shown = running.get(progress.stage);
        if (!shown) return;
        const left = shown.eta.update(progress, now());
        if (now() - shown.lastLineMs < INTERVAL_MS) return;
        shown.lastLineMs = now();
        out(`${progress.stage}: ${progressText(progress, left)}`);
      },
      "stage-finished": ({ stage, seconds }) =>
        out(`${stage}: finished in ${formatDuration(seconds)}`),
      "stage-failed": ({ stage }) => out(`${stage}: failed`),
      "stage-skipped": ({ stage, because }) => out(`${stage}: not run (${sanitize(because)})`),
      "checkpoint-requested": ({ stage }) => out(`${stage}: saving its state on request`),
      "stage-stopped": (stopped) => out(`${stopped.stage}: ${stoppedText(stopped)}`),
    });
  }
  return { sink, end: () => Promise.resolve() };
}

/** Returns how a stopped stage will go on. */
export function stoppedText({ checkpointStep }: { checkpointStep: number | null }): string {
  return checkpointStep === null
    ? "stopped; it had no checkpoint yet and will start anew"
    : `stopped; it will resume at step ${checkpointStep}`;
}
