/** @file A deterministic stand-in for a model: logits from a formula of position and canvas. */
import type { LogitsInput, MaskedLanguageModel } from "../../src/model/masked-lm.js";

export interface FakeModel extends MaskedLanguageModel {
  /** What was asked, in order. */
  readonly requests: LogitsInput[];
}

/**
 * Returns a model whose logit for (row contents, column, id) is what `score` says; `row` holds the
 * noised ids of that row.
 */
export function fakeModel(
  vocabSize: number,
  score: (row: Int32Array, column: number, id: number) => number,
): FakeModel {
  const requests: LogitsInput[] = [];
  return {
    vocabSize,
    requests,
    logits(request) {
      requests.push(request);
      const { inputIds, seq, positions } = request;
      const logits = new Float32Array(positions.length * vocabSize);
      positions.forEach((position, slot) => {
        const first = position - (position % seq);
        const row = inputIds.subarray(first, first + seq);
        for (let id = 0; id < vocabSize; id++) {
          logits[slot * vocabSize + id] = score(row, position % seq, id);
        }
      });
      return Promise.resolve(logits);
    },
    dispose: () => Promise.resolve(),
  };
}
