/** @file The same noised batches for both sides of a training measurement. */
import { makeStepBatch } from "../dist/train/step-batches.js";
import { tokenDatasetOf } from "../dist/data/token-dataset.js";

/** Different batches, used in turn. */
const STEPS = 8;
const MASK_ID = 2;
const FIRST_ID = 3;
const mask = {
  schedule: "linear",
  loss_weight_type: "scheduler",
  loss_norm_type: "token",
  time_epsilon: 1e-3,
};

/** Rows of random ids, enough for all steps. */
function dataset({ batch, seq, model }) {
  let state = 1;
  const next = () => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0);
  const id = () => FIRST_ID + ((next() >>> 8) % (model.vocab_size - FIRST_ID));
  const rows = Array.from({ length: batch * STEPS }, () => ({
    ids: Int32Array.from({ length: seq }, id),
    promptLength: 0,
  }));
  return tokenDatasetOf(rows, "trainable");
}

/** Returns a maker of the batch of step 0, 1, …, as the training loop makes it. */
export function batchMaker(work) {
  const rows = dataset(work);
  return (step) =>
    makeStepBatch({
      dataset: rows,
      rows: Array.from({ length: work.batch }, (_, row) => (step % STEPS) * work.batch + row),
      mask,
      maskId: MASK_ID,
      padId: work.model.pad_token_id,
      seed: 42,
      epoch: 0,
      microBatchRows: work.batch,
    }).microBatches[0];
}

/** The batches as the peer reads them: ids before and after masking, and the loss weights, flat. */
export function batchesForPeer(work) {
  const make = batchMaker(work);
  return Array.from({ length: STEPS }, (_, step) => {
    const { inputIds, positions, targets, weights } = make(step);
    const clean = Array.from(inputIds);
    const positionWeights = new Array(inputIds.length).fill(0);
    positions.forEach((position, i) => {
      clean[position] = targets[i];
      positionWeights[position] = weights[i];
    });
    return { noised: Array.from(inputIds), clean, weights: positionWeights };
  });
}
