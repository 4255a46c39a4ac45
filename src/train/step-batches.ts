/**
 * @file The batch of one optimizer step: which rows, padded together, masked by counter-based
 * randomness, cut into micro-batches. A step is one global batch: its padding and its loss
 * normalisation do not depend on how many micro-batches it is cut into.
 *
 * DIFFERS: the reference pads and normalises each micro-batch by itself, and multiplies
 * ModernBERT's loss by the number of micro-batches (ZHZisZZ/dllm@ca17675 with transformers
 * 4.57). Equal for accumulation 1. Covered by test/train/loop.test.ts.
 */
import { randomStream, type Purpose } from "../base/random.js";
import { collate } from "../data/collate.js";
import type { NumberedRows } from "../data/token-dataset.js";
import { alphaSchedules } from "../diffusion/alpha-schedule.js";
import { countOnes, positionWeights, rowWeights } from "../diffusion/loss.js";
import { maskBatch, sampleTimestep } from "../diffusion/masking.js";
import type { MaskSettings } from "../recipe/schema.js";
import type { NoisedBatch } from "./training-step.js";

export interface MicroBatch extends NoisedBatch {
  /** float32 [masked]: w(t) of each position's row, the un-normalised weight (for the NLL) */
  scheduleWeights: Float32Array;
  maskableTokens: number;
}

export interface StepBatch {
  microBatches: readonly MicroBatch[];
  /** Positions of the padded step batch: rows x longest row. */
  tokens: number;
}

/** Purposes of a noise stream: training, or evaluation with the same draws every time. */
export type NoisePurposes = { timestep: Purpose; mask: Purpose };
export const trainingNoise: NoisePurposes = { timestep: "timestep", mask: "mask" };

export interface StepBatchInputs {
  dataset: NumberedRows;
  /** Row numbers in the dataset, in order; what is drawn for a row belongs to its number. */
  rows: ArrayLike<number>;
  mask: MaskSettings;
  maskId: number;
  padId: number;
  seed: number;
  epoch: number;
  /** Rows per forward pass. */
  microBatchRows: number;
  noise?: NoisePurposes;
}

/** Returns the noised micro-batches of one optimizer step. */
export function makeStepBatch({
  dataset,
  rows,
  mask,
  maskId,
  padId,
  seed,
  epoch,
  microBatchRows,
  noise = trainingNoise,
}: StepBatchInputs): StepBatch {
  const batch = collate(dataset, rows, padId);
  const { batch: count, seq, maskable, attentionMask } = batch;
  const schedule = alphaSchedules[mask.schedule];
  const stream = (row: number, purpose: Purpose) =>
    randomStream({ seed, purpose, epoch, sample: rows[row]! });
  const times = Float32Array.from({ length: count }, (_, row) =>
    sampleTimestep(stream(row, noise.timestep).uniform(), mask.time_epsilon),
  );
  const { noisedIds, positions, targets } = maskBatch({
    batch,
    times,
    uniforms: (row) => {
      const draws = stream(row, noise.mask);
      return () => draws.uniform();
    },
    schedule,
    maskId,
  });
  const weights = positionWeights({
    positions,
    batch: count,
    seq,
    times,
    schedule,
    lossWeightType: mask.loss_weight_type,
    lossNormType: mask.loss_norm_type,
    maskable,
  });
  const perRow = rowWeights(times, schedule, mask.loss_weight_type);
  const scheduleWeights = Float32Array.from(
    positions,
    (position) => perRow[Math.floor(position / seq)]!,
  );

  const microBatches: MicroBatch[] = [];
  let first = 0;
  for (let row = 0; row < count; row += microBatchRows) {
    const rowsHere = Math.min(microBatchRows, count - row);
    const [start, end] = [row * seq, (row + rowsHere) * seq];
    let last = first;
    while (last < positions.length && positions[last]! < end) last++;
    const samples = Array.from({ length: rowsHere }, (_, i) => rows[row + i]!);
    microBatches.push({
      batch: rowsHere,
      seq,
      inputIds: noisedIds.subarray(start, end),
      ...(attentionMask && { attentionMask: attentionMask.subarray(start, end) }),
      positions: positions.subarray(first, last).map((position) => position - start),
      targets: targets.subarray(first, last),
      weights: weights.subarray(first, last),
      scheduleWeights: scheduleWeights.subarray(first, last),
      maskableTokens: countOnes(maskable.subarray(start, end)),
      dropout: { seed, epoch, samples },
    });
    first = last;
  }
  return { microBatches, tokens: count * seq };
}

/** Returns sum(weights * nll), in double precision. */
export function weightedSum(weights: Float32Array, nll: Float32Array): number {
  let sum = 0;
  for (let i = 0; i < nll.length; i++) sum += weights[i]! * nll[i]!;
  return sum;
}
