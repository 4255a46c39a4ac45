/**
 * @file The random draws of the sampler, as arguments: by default counter-based streams, so that
 * a row's tokens do not depend on the batch that it is sampled in.
 */
import { randomStream } from "../base/random.js";
import type { BinomialDraw } from "./transfer-counts.js";

export interface SamplerNoise {
  /**
   * Called once per step when the temperature is not 0. The returned function gives the draws of
   * a position, uniform in [0, 1) with 53 bits, asked for once per token id, in ascending order.
   */
  gumbel(step: number): (row: number, position: number) => () => number;
  /** Called once per step, after `gumbel`, when remasking is random: uniform in [0, 1), 24 bits. */
  remasking(step: number): (row: number, position: number) => number;
  /** Called once per block and row when transfer is stochastic. */
  transfer(block: number, row: number): BinomialDraw;
}

// Positions fit in 24 bits of a stream's sample number, next to the row's own number.
const POSITIONS = 2 ** 24;

export interface SeededNoiseOptions {
  seed: number;
  /** What identifies each row beyond this batch; by default its place in the batch. */
  rowIds?: ArrayLike<number>;
}

/** Returns counter-based noise: a pure function of (seed, row id, position, step). */
export function seededNoise({ seed, rowIds }: SeededNoiseOptions): SamplerNoise {
  const sampleOf = (row: number, position: number): number =>
    (rowIds?.[row] ?? row) * POSITIONS + position;
  return {
    gumbel: (step) => (row, position) => {
      const sample = sampleOf(row, position);
      const stream = randomStream({ seed, purpose: "sampling", epoch: step, sample });
      return () => stream.uniform64();
    },
    remasking: (step) => (row, position) => {
      const sample = sampleOf(row, position);
      return randomStream({ seed, purpose: "remasking", epoch: step, sample }).uniform();
    },
    transfer(block, row) {
      // The last position number is never a token's.
      const sample = sampleOf(row, POSITIONS - 1);
      const stream = randomStream({ seed, purpose: "sampling", epoch: block, sample });
      return (count, probability) => {
        let successes = 0;
        for (let trial = 0; trial < count; trial++) {
          if (stream.uniform64() < probability) successes++;
        }
        return successes;
      };
    },
  };
}
