/**
 * @file Held-out likelihood under the training objective: weighted cross entropy per maskable
 * token, averaged over several noised copies of each row. With the scheduler's weights it bounds
 * the negative log-likelihood per token from above (arXiv:2406.07524).
 *
 * A row's value depends on the row and the seed alone: its copies' timesteps are stratified over
 * [0, 1) and all draws are counter-based; padding is neither attended to nor counted.
 */
import { randomStream } from "../base/random.js";
import { collate } from "../data/collate.js";
import { tokenDatasetOf, type TokenDataset } from "../data/token-dataset.js";
import { alphaSchedules } from "../diffusion/alpha-schedule.js";
import { rowWeights } from "../diffusion/loss.js";
import { maskBatch, sampleTimestep } from "../diffusion/masking.js";
import type { MaskedLanguageModel } from "../model/masked-lm.js";
import type { MaskSettings } from "../recipe/schema.js";
import { ratioWithError, type EvalResult } from "./result.js";

/** Progress that can be saved and continued; plain data. */
export interface HeldoutState {
  /** Rows done, in the order of evaluation. */
  done: number;
  /** Weighted negative log-likelihood in nats of each row done, in that order. */
  rowNll: number[];
}

export interface HeldoutInputs {
  model: MaskedLanguageModel;
  dataset: TokenDataset;
  /** Rows of the dataset to evaluate. */
  rows: readonly number[];
  maskId: number;
  padId: number;
  mask: Pick<MaskSettings, "schedule" | "time_epsilon" | "loss_weight_type">;
  /** Noised copies per row. */
  mcNum: number;
  batchSize: number;
  seed: number;
  resume?: HeldoutState;
  /** Called after every few batches, and awaited; may throw to stop. */
  onProgress?: (state: HeldoutState) => Promise<void>;
}

/** A noised row; equal ones are computed once, with the weights of all copies added up. */
interface NoisedRow {
  /** Place of the row in the order of evaluation. */
  index: number;
  ids: Int32Array;
  positions: Int32Array;
  targets: Int32Array;
  weight: number;
}

// Bounds the logits of a forward pass to 128 MiB, except for a single row.
const LOGITS_LIMIT = 2 ** 25;

/** Returns nll (nats per token) and perplexity of the rows, each with its standard error. */
export async function heldoutLikelihood(inputs: HeldoutInputs): Promise<EvalResult[]> {
  const { dataset, mcNum, batchSize } = inputs;
  // Rows of like length share a forward pass, so that little is padded.
  const order = [...inputs.rows].sort((a, b) => dataset.length(a) - dataset.length(b) || a - b);
  const state: HeldoutState = inputs.resume
    ? { done: inputs.resume.done, rowNll: [...inputs.resume.rowNll] }
    : { done: 0, rowNll: [] };
  const rowsPerStep = Math.max(1, Math.ceil((4 * batchSize) / mcNum));
  while (state.done < order.length) {
    const group = order.slice(state.done, state.done + rowsPerStep);
    state.rowNll.push(...(await evaluateRows(inputs, group)));
    state.done += group.length;
    await inputs.onProgress?.({ done: state.done, rowNll: [...state.rowNll] });
  }
  const tokens = order.map((row) => dataset.length(row) - dataset.promptLength(row));
  return summarise(inputs, state.rowNll, tokens);
}

function summarise(
  { mask, mcNum }: HeldoutInputs,
  rowNll: readonly number[],
  tokens: readonly number[],
): EvalResult[] {
  const { value: nll, stderr } = ratioWithError(rowNll, tokens);
  const ppl = Math.exp(nll);
  const total = tokens.reduce((sum, count) => sum + count, 0);
  const protocol =
    `mc_num ${mcNum}, ${mask.schedule} schedule, ${mask.loss_weight_type} weights, ` +
    `${total} tokens, padding excluded`;
  const task = "heldout_likelihood";
  const n = rowNll.length;
  return [
    { task, metric: "nll", value: nll, ...(stderr !== undefined && { stderr }), n, protocol },
    {
      task,
      metric: "ppl",
      value: ppl,
      // d exp(x) = exp(x) dx
      ...(stderr !== undefined && { stderr: ppl * stderr }),
      n,
      protocol,
    },
  ];
}

/** Returns the weighted NLL of each row of a group, averaged over its noised copies. */
async function evaluateRows(inputs: HeldoutInputs, group: readonly number[]): Promise<number[]> {
  const sums = new Array<number>(group.length).fill(0);
  const noised = group.flatMap((row, index) => noisedCopies(inputs, row, index));
  for (const batch of batches(noised, inputs)) {
    const losses = await crossEntropies(inputs, batch);
    batch.forEach(({ index, weight }, slot) => {
      sums[index]! += (weight * losses[slot]!) / inputs.mcNum;
    });
  }
  return sums;
}

/** Returns the distinct noised copies of a row that have a mask. */
function noisedCopies(inputs: HeldoutInputs, row: number, index: number): NoisedRow[] {
  const { dataset, mask, mcNum, seed, maskId } = inputs;
  const schedule = alphaSchedules[mask.schedule];
  const ids = dataset.ids(row);
  const maskable = new Uint8Array(ids.length).fill(1, dataset.promptLength(row));
  const distinct = new Map<string, NoisedRow>();
  for (let copy = 0; copy < mcNum; copy++) {
    const stream = randomStream({ seed, purpose: "evaluation", epoch: copy, sample: row });
    const uniform = (copy + stream.uniform()) / mcNum;
    const times = Float32Array.of(sampleTimestep(uniform, mask.time_epsilon));
    const { noisedIds, positions, targets } = maskBatch({
      batch: { inputIds: ids, maskable, batch: 1, seq: ids.length },
      times,
      uniforms: () => () => stream.uniform(),
      schedule,
      maskId,
    });
    if (positions.length === 0) continue;
    const [weight] = rowWeights(times, schedule, mask.loss_weight_type) as unknown as [number];
    const key = positions.join();
    const known = distinct.get(key);
    if (known) known.weight += weight;
    else distinct.set(key, { index, ids: noisedIds, positions, targets, weight });
  }
  return [...distinct.values()];
}

function* batches(
  rows: readonly NoisedRow[],
  { batchSize, model }: HeldoutInputs,
): Generator<NoisedRow[]> {
  let batch: NoisedRow[] = [];
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

/** Returns the summed cross entropy of each noised row at its masks, in nats. */
async function crossEntropies(
  { model, padId }: HeldoutInputs,
  rows: readonly NoisedRow[],
): Promise<number[]> {
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
  const logits = await model.logits({
    inputIds,
    batch,
    seq,
    ...(attentionMask && { attentionMask }),
    positions: Int32Array.from(positions),
  });
  let slot = 0;
  return rows.map(({ targets }) => {
    let sum = 0;
    for (const target of targets) {
      const start = slot++ * model.vocabSize;
      sum += crossEntropy(logits.subarray(start, start + model.vocabSize), target);
    }
    return sum;
  });
}

/** Returns -log softmax(logits)[target], computed in float64. */
function crossEntropy(logits: Float32Array, target: number): number {
  let top = -Infinity;
  for (const logit of logits) if (logit > top) top = logit;
  let sum = 0;
  for (const logit of logits) sum += Math.exp(logit - top);
  return top + Math.log(sum) - logits[target]!;
}
