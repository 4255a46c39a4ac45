/**
 * @file Whether greedy unmasking, one token per step, writes exactly the target.
 * Source: ZHZisZZ/dllm@ca17675 dllm/core/eval/mdlm.py,
 * MDLMEvalHarness._suffix_greedy_prediction.
 */
import { chooseToken, tokenProbability } from "../sample/predict.js";
import type { EncodedPair } from "./encode-pair.js";
import {
  maskedLogits,
  maskedPositions,
  type ForwardSettings,
  type MaskedRow,
} from "./masked-logits.js";

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
    for await (const { row, logits } of maskedLogits(inputs, rows)) {
      commitMostConfident(row, logits, maskId);
    }
  }
  return attempts.map(
    ({ canvas, prefixLength, target, failed }) =>
      !failed && target.every((id, i) => canvas[prefixLength + i] === id),
  );
}

function commitMostConfident(
  { attempt, positions }: MaskedRow & { attempt: Attempt },
  logits: readonly Float32Array[],
  maskId: number,
): void {
  const predictions = logits.map((ofPosition, slot) => {
    const id = chooseToken(ofPosition, 0, () => 0);
    return { column: positions[slot]!, id, confidence: tokenProbability(ofPosition, id) };
  });
  const { column, id } = predictions.reduce((best, prediction) =>
    prediction.confidence > best.confidence ? prediction : best,
  );
  attempt.canvas[column] = id;
  // The mask token itself may be predicted; it stays a mask.
  if (id === maskId || column < attempt.prefixLength) return;
  if (id !== attempt.target[column - attempt.prefixLength]) attempt.failed = true;
}
