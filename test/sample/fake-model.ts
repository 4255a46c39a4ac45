/** @file A deterministic stand-in for a model: logits from a formula of position and canvas. */
import type { LogitsInput, MaskedLanguageModel } from "../../src/model/masked-lm.js";
import { chooseToken, tokenProbability } from "../../src/sample/predict.js";

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
  const logitsOf = (request: LogitsInput): Float32Array[] => {
    requests.push(request);
    const { inputIds, seq, positions } = request;
    return Array.from(positions, (position) => {
      const first = position - (position % seq);
      const row = inputIds.subarray(first, first + seq);
      return Float32Array.from({ length: vocabSize }, (_, id) => score(row, position % seq, id));
    });
  };
  return {
    vocabSize,
    requests,
    logits(request) {
      const rows = logitsOf(request);
      const all = new Float32Array(rows.length * vocabSize);
      rows.forEach((row, slot) => {
        all.set(row, slot * vocabSize);
      });
      return Promise.resolve(all);
    },
    predict(request) {
      const rows = logitsOf(request);
      const ids = Int32Array.from(rows, (row) => chooseToken(row, 0, () => 0));
      const confidences = Float32Array.from(rows, (row, i) => tokenProbability(row, ids[i]!));
      return Promise.resolve({ ids, confidences });
    },
    logProbabilities(request, { slots, ids }) {
      const rows = logitsOf(request).map((row) => {
        const top = Math.max(...row);
        const mass = row.reduce((sum, logit) => sum + Math.exp(logit - top), 0);
        return Array.from(row, (logit) => logit - (top + Math.log(mass)));
      });
      return Promise.resolve(Float64Array.from(ids, (id, i) => rows[slots[i]!]![id]!));
    },
    dispose: () => Promise.resolve(),
  };
}
