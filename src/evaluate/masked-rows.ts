/** @file What a model says of many rows at their masks, in forward passes of bounded size. */
import { collate } from "../data/collate.js";
import { tokenDatasetOf } from "../data/token-dataset.js";
import type { LogitsInput, MaskedLanguageModel, Predictions } from "../model/masked-lm.js";

/** A row with masks, all of it attended to. */
export interface MaskedRow {
  ids: Int32Array;
  /** Columns to predict. */
  positions: Int32Array;
}

export interface ForwardSettings {
  model: MaskedLanguageModel;
  padId: number;
  /** Rows of a forward pass, at most. */
  batchSize: number;
}

// Bounds the logits of a forward pass to 128 MiB, except for a single row.
const LOGITS_LIMIT = 2 ** 25;

/** A row and one token per position for each way to score it. */
export interface ScoredRow extends MaskedRow {
  targets: readonly ArrayLike<number>[];
}

/**
 * Yields each row, in order, with the cross entropy of each of its targets: the sum over the
 * positions of -log p(token), in nats. Neighbours share a forward pass: sort by length, so that
 * little is padded. Padding is not attended to.
 */
export async function* scoreRows<Row extends ScoredRow>(
  settings: ForwardSettings,
  rows: Iterable<Row>,
): AsyncGenerator<{ row: Row; crossEntropies: number[] }> {
  for (const batch of batches(settings, rows)) {
    const slots: number[] = [];
    const ids: number[] = [];
    let slot = 0;
    for (const { positions, targets } of batch) {
      for (const target of targets) {
        for (let i = 0; i < positions.length; i++) {
          slots.push(slot + i);
          ids.push(target[i]!);
        }
      }
      slot += positions.length;
    }
    const input = forwardInput(settings, batch);
    const found = await settings.model.logProbabilities(input, { slots, ids });
    let next = 0;
    for (const row of batch) {
      const crossEntropies = row.targets.map(() => {
        const ofTarget = found.subarray(next, (next += row.positions.length));
        return -ofTarget.reduce((sum, value) => sum + value, 0);
      });
      yield { row, crossEntropies };
    }
  }
}

/** Yields each row, in order, with what the model predicts at its positions. See scoreRows. */
export async function* predictRows<Row extends MaskedRow>(
  settings: ForwardSettings,
  rows: Iterable<Row>,
): AsyncGenerator<{ row: Row; predictions: Predictions }> {
  for (const batch of batches(settings, rows)) {
    const { ids, confidences } = await settings.model.predict(forwardInput(settings, batch));
    let slot = 0;
    for (const row of batch) {
      const end = slot + row.positions.length;
      const predictions = {
        ids: ids.subarray(slot, end),
        confidences: confidences.subarray(slot, end),
      };
      slot = end;
      yield { row, predictions };
    }
  }
}

function* batches<Row extends MaskedRow>(
  { batchSize, model }: ForwardSettings,
  rows: Iterable<Row>,
): Generator<Row[]> {
  let batch: Row[] = [];
  let logits = 0;
  for (const row of rows) {
    const more = row.positions.length * model.vocabSize;
    if (batch.length === batchSize || (batch.length > 0 && logits + more > LOGITS_LIMIT)) {
      yield batch;
      batch = [];
      logits = 0;
    }
    batch.push(row);
    logits += more;
  }
  if (batch.length > 0) yield batch;
}

/** Returns the rows as one input, padded to the longest. */
function forwardInput({ padId }: ForwardSettings, rows: readonly MaskedRow[]): LogitsInput {
  const dataset = tokenDatasetOf(
    rows.map(({ ids }) => ({ ids, promptLength: 0 })),
    "masked",
  );
  const { inputIds, batch, seq, attentionMask } = collate(
    dataset,
    rows.map((_, row) => row),
    padId,
  );
  const positions = rows.flatMap((row, i) => Array.from(row.positions, (p) => i * seq + p));
  return {
    inputIds,
    batch,
    seq,
    ...(attentionMask && { attentionMask }),
    positions: Int32Array.from(positions),
  };
}

/**
 * Returns the columns that hold the mask token, ascending. As in the reference's evaluation a
 * token that was the mask token to begin with counts as masked.
 */
export function maskedPositions(ids: Int32Array, maskId: number): Int32Array {
  const positions: number[] = [];
  ids.forEach((id, column) => {
    if (id === maskId) positions.push(column);
  });
  return Int32Array.from(positions);
}
