/**
 * @file Random keep masks for dropout. A mask belongs to its sample: it depends on the seed, the
 * epoch, the row of the dataset and the place in the model, not on the batch, its padding,
 * accumulation, or a resume.
 *
 * DIFFERS: the reference draws from torch's global stream, where a mask depends on every draw
 * before it. The law is the same, each element dropped on its own with the probability, which is
 * rounded to a multiple of 2^-16 here. Covered by test/train/dropout.test.ts.
 */
import { randomWords } from "../base/random-words.js";
import type { StreamKey } from "../base/random.js";
import type { Value } from "../engine/onnx-session.js";
import type { DropoutSite } from "../model/dropout.js";

/** Which masks a batch gets. */
export interface DropoutKey {
  seed: number;
  epoch: number;
  /** [batch]: the row of the dataset that each row of the batch is. */
  samples: ArrayLike<number>;
}

export interface KeepMaskInputs {
  batch: number;
  seq: number;
  key: DropoutKey;
}

/**
 * Returns a maker of the keep masks of a graph's sites, as feeds: bool, 1 where kept. One byte per
 * element, in buffers that the next call overwrites; while a mask is drawn, two more bytes per
 * element of one sample at one site.
 */
export function createKeepMasks(
  sites: readonly DropoutSite[],
): (inputs: KeepMaskInputs) => Record<string, Value> {
  const buffers = sites.map(() => new Uint8Array(0));
  return ({ batch, seq, key }) =>
    Object.fromEntries(
      sites.map(({ input, probability, over }, site) => {
        const perSample = over.kind === "features" ? seq * over.width : over.heads * seq * seq;
        const shape =
          over.kind === "features" ? [batch * seq, over.width] : [batch, over.heads, seq, seq];
        if (buffers[site]!.length < batch * perSample) {
          buffers[site] = new Uint8Array(batch * perSample);
        }
        const data = buffers[site]!.subarray(0, batch * perSample);
        const threshold = Math.round(probability * 2 ** 16);
        for (let row = 0; row < batch; row++) {
          const stream: StreamKey = {
            seed: key.seed,
            purpose: "dropout",
            epoch: key.epoch,
            sample: key.samples[row]!,
          };
          const draws = randomWords(stream, site, perSample);
          const target = data.subarray(row * perSample, (row + 1) * perSample);
          if (over.kind === "features") fillInOrder(target, draws, threshold);
          else fillSquares(target, draws, threshold, over.heads, seq);
        }
        return [input, { data, shape }];
      }),
    );
}

/** [seq, width]: the draws of a token do not depend on how many follow it. */
function fillInOrder(target: Uint8Array, draws: Uint16Array, threshold: number): void {
  for (let i = 0; i < target.length; i++) target[i] = draws[i]! >= threshold ? 1 : 0;
}

/**
 * [heads, seq, seq]. Draws go to growing squares: first all heads' cell (0, 0), then what
 * the square of side 2 adds, and so on. So a cell's draw does not depend on the padded length.
 */
function fillSquares(
  target: Uint8Array,
  draws: Uint16Array,
  threshold: number,
  heads: number,
  seq: number,
): void {
  let next = 0;
  for (let edge = 0; edge < seq; edge++) {
    for (let head = 0; head < heads; head++) {
      const start = head * seq * seq;
      const row = start + edge * seq;
      for (let cell = row; cell <= row + edge; cell++) {
        target[cell] = draws[next++]! >= threshold ? 1 : 0;
      }
      for (let cell = start + edge; cell < row + edge; cell += seq) {
        target[cell] = draws[next++]! >= threshold ? 1 : 0;
      }
    }
  }
}
