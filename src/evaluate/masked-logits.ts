/** @file Logits of many rows at their masks, in forward passes of bounded size. */
import { collate } from "../data/collate.js";
import { tokenDatasetOf } from "../data/token-dataset.js";
import type { MaskedLanguageModel } from "../model/masked-lm.js";

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

/**
 * Yields each row, in order, with one float32 [vocab] of logits per position; views that the
 * next forward pass does not overwrite. Neighbours share a forward pass: sort by length, so that
 * little is padded. Padding is not attended to.
 */
export async function* maskedLogits<Row extends MaskedRow>(
  settings: ForwardSettings,
  rows: Iterable<Row>,
): AsyncGenerator<{ row: Row; logits: Float32Array[] }> {
  const { vocabSize } = settings.model;
  for (const batch of batches(settings, rows)) {
    const all = await forward(settings, batch);
    let slot = 0;
    for (const row of batch) {
      const logits = Array.from(row.positions, () =>
        all.subarray(slot * vocabSize, ++slot * vocabSize),
      );
      yield { row, logits };
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

/** Returns the logits of all positions of the rows, float32 [positions, vocab]. */
async function forward(
  { model, padId }: ForwardSettings,
  rows: readonly MaskedRow[],
): Promise<Float32Array> {
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
  return model.logits({
    inputIds,
    batch,
    seq,
    ...(attentionMask && { attentionMask }),
    positions: Int32Array.from(positions),
  });
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

/** Returns the sum of -log softmax(logits[i])[targets[i]] in nats, computed in float64. */
export function sumCrossEntropy(
  logits: readonly Float32Array[],
  targets: ArrayLike<number>,
): number {
  return logits.reduce((sum, row, i) => sum + crossEntropy(row, targets[i]!), 0);
}

function crossEntropy(logits: Float32Array, target: number): number {
  let top = -Infinity;
  for (const logit of logits) if (logit > top) top = logit;
  let sum = 0;
  for (const logit of logits) sum += Math.exp(logit - top);
  return top + Math.log(sum) - logits[target]!;
}
