/**
 * @file Whether greedy unmasking, one token per step, writes exactly the target.
 * Source: ZHZisZZ/dllm@ca17675 dllm/core/eval/mdlm.py,
 * MDLMEvalHarness._suffix_greedy_prediction.
 */
import type { Predictions } from "../model/masked-lm.js";
import type { EncodedPair } from "./encode-pair.js";
import {
  maskedPositions,
  predictRows,
  type ForwardSettings,
  type MaskedRow,
} from "./masked-rows.js";

export interface GreedyCheckInputs extends ForwardSettings {
  requests: readonly EncodedPair[];
  maskId: number;
}

interface Attempt {
  canvas: Int32Array;
  prefixLength: number;
  target: readonly number[];
  /** A token other than the target's is written, which nothing takes back. */
  failed: boolean;
}

/**
 * Returns for each request whether the model, given the prefix and as many masks as the target
 * has tokens, writes the target when it commits its most confident prediction (the first among
 * equals) and looks again. Requests share forward passes, step by step.
 */
export async function greedyMatches(inputs: GreedyCheckInputs): Promise<boolean[]> {
  const { requests, maskId } = inputs;
  const attempts = requests.map(({ prefix, target }): Attempt => {
    const canvas = new Int32Array(prefix.length + target.length).fill(maskId);
    canvas.set(prefix);
    return { canvas, prefixLength: prefix.length, target, failed: false };
  });
  const byLength = [...attempts].sort((a, b) => a.canvas.length - b.canvas.length);
  for (let step = 0; ; step++) {
    const rows = byLength
      .filter(({ target, failed }) => step < target.length && !failed)
      .map((attempt) => ({
        attempt,
        ids: attempt.canvas,
        // Masks of the prefix are filled as well, and may use up the steps.
        positions: maskedPositions(attempt.canvas, maskId),
      }));
    if (rows.length === 0) break;
    for await (const { row, predictions } of predictRows(inputs, rows)) {
      commitMostConfident(row, predictions, maskId);
    }
  }
  return attempts.map(
    ({ canvas, prefixLength, target, failed }) =>
      !failed && target.every((id, i) => canvas[prefixLength + i] === id),
  );
}

function commitMostConfident(
  { attempt, positions }: MaskedRow & { attempt: Attempt },
  { ids, confidences }: Predictions,
  maskId: number,
): void {
  const slot = confidences.reduce(
    (best, confidence, i) => (confidence > confidences[best]! ? i : best),
    0,
  );
  const [column, id] = [positions[slot]!, ids[slot]!];
  attempt.canvas[column] = id;
  // The mask token itself may be predicted; it stays a mask.
  if (id === maskId || column < attempt.prefixLength) return;
  if (id !== attempt.target[column - attempt.prefixLength]) attempt.failed = true;
}
