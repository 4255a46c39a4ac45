/**
 * @file The order of training rows in one epoch: a fresh permutation of counter-based
 * randomness, length-grouped on request (spec of the reference's Trainer: random sampler, or
 * LengthGroupedSampler with group_by_length).
 */
import { randomPermutation } from "../base/random.js";
import { lengthGroupedOrder } from "./length-grouping.js";

export interface EpochOrderInputs {
  /** Tokens per row, uint32 [rows]. */
  lengths: ArrayLike<number>;
  seed: number;
  epoch: number;
  groupByLength: boolean;
  /** Rows per optimizer step of one device: per-device batch × accumulation. */
  batchSize: number;
}

/** Returns the row indices of an epoch, int32 [rows]; a pure function of its arguments. */
export function epochOrder(inputs: EpochOrderInputs): Int32Array {
  const { lengths, seed, epoch, groupByLength, batchSize } = inputs;
  const permutation = randomPermutation(lengths.length, { seed, purpose: "order", epoch });
  return groupByLength ? lengthGroupedOrder(lengths, batchSize, permutation) : permutation;
}
