/** @file The words and bars of live progress. */
import { sanitize } from "../base/sanitize.js";
import type { Progress } from "../plan/stage.js";
import { formatDuration } from "./format.js";

function share({ done, total }: Progress): number | undefined {
  if (total === undefined || total <= 0) return undefined;
  return Math.min(1, Math.max(0, done / total));
}

/** Returns `step 120/400 (30 %), 1 min 05 s left, loss 2.31`; unknown parts are left out. */
export function progressText(progress: Progress, etaSeconds: number | undefined): string {
  const part = share(progress);
  const position = `${progress.unit} ${progress.done}`;
  return [
    part === undefined ? position : `${position}/${progress.total} (${Math.floor(100 * part)} %)`,
    ...(etaSeconds === undefined || part === 1 ? [] : [`${formatDuration(etaSeconds)} left`]),
    ...(progress.message ? [sanitize(progress.message).replaceAll("\n", " ")] : []),
  ].join(", ");
}

/** Returns a bar such as `█████░░░░░` for a known total, else an empty text. */
export function progressBar(progress: Progress, width: number): string {
  const part = share(progress);
  if (part === undefined) return "";
  const full = Math.floor(part * width);
  return "█".repeat(full) + "░".repeat(width - full);
}
