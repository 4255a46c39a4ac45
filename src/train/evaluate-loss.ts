/** @file Loss and NLL of a held-out split during training. */
import { epochOrder } from "../data/epoch-order.js";
import type { TokenDataset } from "../data/token-dataset.js";
import { createNllMeter } from "../diffusion/loss.js";
import type { MaskSettings } from "../recipe/schema.js";
import { makeStepBatch, weightedSum } from "./step-batches.js";
import type { TrainingStep } from "./training-step.js";

/**
 * Returns the mean loss over rows and the NLL/perplexity per maskable token of a split.
 *
 * DIFFERS: the reference draws fresh timesteps and masks at every evaluation from the training
 * stream; here every evaluation uses the same counter-based draws, so that successive values
 * are comparable and evaluating does not change training. Covered by test/train/loop.test.ts.
 */
export async function evaluateLoss({
  step,
  dataset,
  mask,
  maskId,
  padId,
  seed,
  batchSize,
  groupByLength,
}: {
  step: TrainingStep;
  dataset: TokenDataset;
  mask: MaskSettings;
  maskId: number;
  padId: number;
  seed: number;
  batchSize: number;
  groupByLength: boolean;
}): Promise<{ eval_loss: number; eval_nll: number; eval_ppl: number }> {
  const order = groupByLength
    ? epochOrder({ lengths: dataset.lengths, seed, epoch: 0, groupByLength, batchSize })
    : Int32Array.from({ length: dataset.rows }, (_, row) => row);
  const meter = createNllMeter();
  let lossSum = 0;
  for (let start = 0; start < order.length; start += batchSize) {
    const rows = order.subarray(start, start + batchSize);
    const { microBatches } = makeStepBatch({
      dataset,
      rows,
      mask,
      maskId,
      padId,
      seed,
      epoch: 0,
      microBatchRows: batchSize,
      noise: { timestep: "evaluation", mask: "evaluationMask" },
    });
    for (const batch of microBatches) {
      const nll = await step.evaluate(batch);
      lossSum += weightedSum(batch.weights, nll) * rows.length;
      meter.add(weightedSum(batch.scheduleWeights, nll), batch.maskableTokens);
    }
  }
  const { nll, ppl } = meter.read();
  return { eval_loss: lossSum / order.length, eval_nll: nll, eval_ppl: ppl };
}
