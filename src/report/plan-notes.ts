/** @file What a plan's display says below a stage: where it runs and why, what it takes. */
import { formatDuration } from "./format.js";
import type { StageDetailsView, StageView } from "./plan-view.js";

/** Returns the notes of a stage, a sentence each; none for a stage that is reused. */
export function stageNotes(stage: StageView, details: StageDetailsView | undefined): string[] {
  if (stage.action === "reuse" || details === undefined) return [];
  const { engineReason, launcherReason, words, estimate } = details;
  const { engine, launcher } = stage.hardware;
  const where = [
    ...(engineReason === undefined ? [] : [`${engine} engine: ${engineReason}`]),
    ...(launcherReason === undefined ? [] : [`${launcher} launcher: ${launcherReason}`]),
  ];
  return [
    ...(where.length > 0 ? [where.join("; ")] : []),
    ...(estimate === undefined ? [] : estimateNotes(estimate)),
    ...words,
  ];
}

type Estimate = NonNullable<StageDetailsView["estimate"]>;

function estimateNotes(estimate: Estimate): string[] {
  const { parameters, steps, tokensPerStep, flopsPerStep, memory, memoryLimitBytes, seconds } =
    estimate;
  const counted = steps === undefined ? "steps" : `${steps.toLocaleString("en-US")} steps`;
  const limit = memoryLimitBytes === undefined ? "" : ` of ${gib(memoryLimitBytes)}`;
  return [
    `${millions(parameters)} parameters; ${counted} of up to ` +
      `${tokensPerStep.toLocaleString("en-US")} tokens, ${flops(flopsPerStep)} each`,
    `memory about ${gib(memory.peakBytes)}${limit} per device, most of it: ${memory.dominant}`,
    ...(seconds === undefined
      ? []
      : [
          `time ${formatDuration(seconds.low)} to ${formatDuration(seconds.high)} (${seconds.basis})`,
        ]),
  ];
}

function millions(count: number): string {
  return count >= 1e9 ? `${(count / 1e9).toFixed(2)} B` : `${(count / 1e6).toPrecision(3)} M`;
}

function gib(bytes: number): string {
  const value = bytes / 2 ** 30;
  return `${value >= 0.95 ? value.toFixed(1) : value.toPrecision(2)} GiB`;
}

const PREFIXES = ["", "k", "M", "G", "T", "P", "E"];

/** `2.7 PFLOP`. */
function flops(count: number): string {
  const step = Math.min(PREFIXES.length - 1, Math.max(0, Math.floor(Math.log10(count) / 3)));
  return `${(count / 1000 ** step).toPrecision(3)} ${PREFIXES[step]}FLOP`;
}
