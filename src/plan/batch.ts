/**
 * @file How the rows of an optimizer step are shared out: among devices, and on each into
 * micro-batches. The number of rows of a step is what decides the mathematics; it is kept exactly
 * on any number of devices, or the plan is refused.
 */
import { failure, success, type Outcome } from "./problem.js";

/** What a training stage writes about its batches. */
export interface WrittenBatch {
  readonly per_device_train_batch_size: number;
  readonly gradient_accumulation_steps: number;
  readonly global_batch_size?: number | undefined;
}

/** Returns what the settings of a training say about its batches. */
export function writtenBatch(settings: WrittenBatch): WrittenBatch {
  const { per_device_train_batch_size, gradient_accumulation_steps, global_batch_size } = settings;
  return { per_device_train_batch_size, gradient_accumulation_steps, global_batch_size };
}

/** devices x accumulation x microBatchRows = globalBatchSize, always. */
export interface BatchPlan {
  /** Rows of one forward pass on one device. */
  microBatchRows: number;
  /** Micro-batches of each device per optimizer step. */
  accumulation: number;
  /** Rows of an optimizer step over all devices. */
  globalBatchSize: number;
  /**
   * Rows that are grouped by length together, as the reference does it (per device times
   * accumulation, as written): it decides the order of rows, and does not follow the devices.
   */
  groupRows: number;
}

export interface BatchInputs {
  /** Key path of the training stage in the recipe. */
  stagePath: string;
  written: WrittenBatch;
  /** Devices that the recipe is written for, and those that compute. */
  worldSize: number;
  devices: number;
}

/** Returns how a step's rows are shared out, and in words where that is not as written. */
export function shareBatch({
  stagePath,
  written,
  worldSize,
  devices,
}: BatchInputs): Outcome<{ batch: BatchPlan; words: readonly string[] }> {
  const perDevice = written.per_device_train_batch_size;
  const accumulation = written.gradient_accumulation_steps;
  const globalBatchSize = written.global_batch_size ?? perDevice * worldSize * accumulation;
  if (globalBatchSize % devices !== 0) {
    return failure({
      keyPath: `${stagePath}.global_batch_size`,
      message: `global_batch_size is ${globalBatchSize}, which ${devices} devices cannot share equally`,
      details: [
        `${globalBatchSize} rows over ${devices} devices are ${roundedShare(globalBatchSize / devices)} each`,
        `possible device counts: ${deviceCounts(globalBatchSize)}`,
        `possible sizes for ${devices} devices: ${nearestMultiples(globalBatchSize, devices).join(" or ")}`,
      ],
    });
  }
  const rowsPerDevice = globalBatchSize / devices;
  const microBatchRows = largestMicroBatch(rowsPerDevice, { perDevice, accumulation });
  const batch: BatchPlan = {
    microBatchRows,
    accumulation: rowsPerDevice / microBatchRows,
    globalBatchSize,
    groupRows: perDevice * accumulation,
  };
  return success({ batch, words: inWords(batch, { perDevice, accumulation, worldSize, devices }) });
}

/**
 * Returns the largest micro-batch of at most `perDevice` rows that divides the rows of a device,
 * or the one that the written accumulation gives, where it is small enough.
 */
function largestMicroBatch(
  rows: number,
  { perDevice, accumulation }: { perDevice: number; accumulation: number },
): number {
  const preferred = rows / accumulation;
  if (Number.isInteger(preferred) && preferred <= perDevice) return preferred;
  // Divisors come in pairs: no recipe's number makes this long.
  let largest = 1;
  for (let divisor = 1; divisor * divisor <= rows; divisor++) {
    if (rows % divisor !== 0) continue;
    for (const size of [divisor, rows / divisor]) {
      if (size <= perDevice && size > largest) largest = size;
    }
  }
  return largest;
}

function inWords(
  batch: BatchPlan,
  written: { perDevice: number; accumulation: number; worldSize: number; devices: number },
): string[] {
  const { perDevice, accumulation, worldSize, devices } = written;
  const changes: string[] = [];
  if (batch.accumulation !== accumulation) {
    changes.push(`accumulation ${batch.accumulation} instead of ${accumulation}`);
  }
  if (batch.microBatchRows !== perDevice) {
    changes.push(`micro-batches of ${batch.microBatchRows} rows instead of ${perDevice}`);
  }
  if (changes.length === 0 && devices === worldSize) return [];
  const where =
    devices === worldSize
      ? `global_batch_size ${batch.globalBatchSize} on ${counted(devices, "device")}`
      : `${counted(devices, "device")} instead of ${worldSize}`;
  const what = changes.length === 0 ? "batches as written" : changes.join(" and ");
  const purpose =
    devices === worldSize
      ? `${counted(batch.globalBatchSize / devices, "row")} each`
      : `so that a step still has ${counted(batch.globalBatchSize, "row")}`;
  return [`${where}: ${what}, ${purpose}`];
}

/** `1 row`, `48 rows`. */
export function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? "" : "s"}`;
}

function roundedShare(share: number): string {
  return String(Number(share.toFixed(2)));
}

const SHOWN_COUNTS = 12;
const MOST_DEVICES = 4096;

function deviceCounts(rows: number): string {
  const counts: number[] = [];
  for (let count = 1; count <= Math.min(rows, MOST_DEVICES); count++) {
    if (rows % count === 0) counts.push(count);
  }
  const shown = counts.slice(0, SHOWN_COUNTS).join(", ");
  return counts.length > SHOWN_COUNTS ? `${shown}, ...` : shown;
}

function nearestMultiples(rows: number, devices: number): number[] {
  const below = Math.floor(rows / devices) * devices;
  return [below, below + devices].filter((size) => size > 0);
}
