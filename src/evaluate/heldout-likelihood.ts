/**
 * @file Held-out likelihood under the training objective: weighted cross entropy per maskable
 * token, averaged over several noised copies of each row. With the scheduler's weights it bounds
 * the negative log-likelihood per token from above (arXiv:2406.07524).
 *
 * A row's value depends on the row and the seed alone: its copies' timesteps are stratified over
 * [0, 1) and all draws are counter-based; padding is neither attended to nor counted.
 */
import { randomStream } from "../base/random.js";
import type { TokenDataset } from "../data/token-dataset.js";
import { alphaSchedules } from "../diffusion/alpha-schedule.js";
import { rowWeights } from "../diffusion/loss.js";
import { maskBatch, sampleTimestep } from "../diffusion/masking.js";
import type { MaskedLanguageModel } from "../model/masked-lm.js";
import type { MaskSettings } from "../recipe/schema.js";
import { scoreRows, type ScoredRow } from "./masked-rows.js";
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
interface NoisedRow extends ScoredRow {
  /** Place of the row in the order of evaluation. */
  index: number;
  weight: number;
}

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
  for await (const { row, crossEntropies } of scoreRows(inputs, noised)) {
    sums[row.index]! += (row.weight * crossEntropies[0]!) / inputs.mcNum;
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
    else distinct.set(key, { index, ids: noisedIds, positions, targets: [targets], weight });
  }
  return [...distinct.values()];
}
