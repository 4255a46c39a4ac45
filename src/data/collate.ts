/**
 * @file Rows of a token dataset to one rectangular batch, padded on the right to its longest row.
 * Source: ZHZisZZ/dllm@ca17675 examples/bert/{pt,sft}.py and transformers'
 * DataCollatorForSeq2Seq.
 */
import type { NumberedRows } from "./token-dataset.js";

export interface Batch {
  batch: number;
  seq: number;
  /** int32 [batch, seq]. */
  inputIds: Int32Array;
  /** uint8 [batch, seq]; 1 where a position may be masked and is trained (labels ≠ -100). */
  maskable: Uint8Array;
  /** uint8 [batch, seq]; absent when every position is attended to. */
  attentionMask?: Uint8Array;
}

/**
 * Returns the batch of some rows.
 *
 * With padding `masked` (pretraining) padding is neither attended to nor maskable. With
 * `trainable` (SFT) the reference's collator drops the attention mask and labels padding with the
 * pad id: padding is attended to and trained, which is how the model learns to end an answer.
 */
export function collate(
  dataset: NumberedRows,
  rowIndices: ArrayLike<number>,
  padId: number,
): Batch {
  const batch = rowIndices.length;
  let seq = 0;
  let shortest = Infinity;
  for (let row = 0; row < batch; row++) {
    const length = dataset.length(rowIndices[row]!);
    seq = Math.max(seq, length);
    shortest = Math.min(shortest, length);
  }
  const trainable = dataset.padding === "trainable";
  const inputIds = new Int32Array(batch * seq).fill(padId);
  const maskable = new Uint8Array(batch * seq);
  const attentionMask = trainable || shortest === seq ? undefined : new Uint8Array(batch * seq);
  for (let row = 0; row < batch; row++) {
    const index = rowIndices[row]!;
    const start = row * seq;
    const end = start + dataset.length(index);
    inputIds.set(dataset.ids(index), start);
    maskable.fill(1, start + dataset.promptLength(index), trainable ? start + seq : end);
    attentionMask?.fill(1, start, end);
  }
  return { batch, seq, inputIds, maskable, ...(attentionMask && { attentionMask }) };
}
