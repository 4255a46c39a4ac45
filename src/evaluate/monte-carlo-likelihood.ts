/**
 * @file Monte Carlo estimate of log p(target | prefix): the mean of
 * -(n / x) * cross entropy at the masks, over noised copies of which each masks x of the target's
 * n tokens, with x uniform in 1..n.
 * Source: arXiv:2502.09992; ZHZisZZ/dllm@ca17675 dllm/core/eval/mdlm.py,
 * MDLMEvalHarness._get_loglikelihood.
 */
import { DllmError, ExitCode } from "../base/errors.js";
import type { EncodedPair } from "./encode-pair.js";
import type { LikelihoodNoise } from "./likelihood-noise.js";
import { maskCounts } from "./mask-counts.js";
import { maskedPositions, scoreRows, type ForwardSettings, type MaskedRow } from "./masked-rows.js";

export interface CopySettings {
  maskId: number;
  /** Noised copies per request: a multiple of `strata`. */
  mcNum: number;
  /** Copies whose mask counts share one draw; part of the estimate (the reference's batch_size). */
  strata: number;
  noise: LikelihoodNoise;
}

export interface LikelihoodInputs extends CopySettings, ForwardSettings {
  requests: readonly EncodedPair[];
}

/** A noised copy of a request. */
export interface NoisedCopy {
  ids: Int32Array;
  /** x / n, which the copy's cross entropy is divided by. */
  maskRatio: number;
}

/** A row to compute, and the copies that it stands for: of any request with the same noised ids. */
interface DistinctRow extends MaskedRow {
  uses: { request: number; copies: { number: number; maskRatio: number }[] }[];
}

// Distinct rows are gathered over this many forward passes' worth of requests, then computed.
const FORWARD_PASSES = 8;

/**
 * Returns the estimate of each request in nats. It depends on the request, its noise, mcNum and
 * strata alone, up to the rounding of the forward pass. A noised row that occurs again, also
 * among neighbouring requests (choices of one question), is computed once.
 * @throws DllmError 65 when a target is empty or mcNum is not a multiple of strata
 */
export async function monteCarloLikelihoods(inputs: LikelihoodInputs): Promise<number[]> {
  const { requests, mcNum, batchSize } = inputs;
  checkInputs(inputs);
  const losses = requests.map(() => new Float64Array(mcNum));
  let rows = new Map<string, DistinctRow>();
  for (const [request, pair] of requests.entries()) {
    addCopies(rows, request, noisedCopies(inputs, request, pair), inputs.maskId);
    if (rows.size < FORWARD_PASSES * batchSize && request < requests.length - 1) continue;
    await computeLosses(inputs, rows, losses);
    rows = new Map();
  }
  // All iterations have as many copies, so the mean of their means is the mean of the copies.
  return losses.map((ofCopies) => -ofCopies.reduce((sum, loss) => sum + loss, 0) / mcNum);
}

function checkInputs({ requests, mcNum, strata }: LikelihoodInputs): void {
  if (!(mcNum > 0 && mcNum % strata === 0)) {
    throw new DllmError(`likelihood: mc_num is ${mcNum}, expected a multiple of ${strata}`, {
      exitCode: ExitCode.invalidInput,
      details: [`the mask counts of ${strata} copies are drawn together (the batch size)`],
    });
  }
  const empty = requests.findIndex(({ target }) => target.length === 0);
  if (empty < 0) return;
  throw new DllmError(`likelihood: request ${empty} has no target token`, {
    exitCode: ExitCode.invalidInput,
    details: [
      "the continuation is empty, or encoding it as the reference does loses its only token",
      "encode the pair in clean mode, or leave the request out",
    ],
  });
}

/** Returns the noised copies of a request; only tokens of the target are masked. */
export function noisedCopies(
  { maskId, mcNum, strata, noise }: CopySettings,
  request: number,
  { prefix, target }: EncodedPair,
): NoisedCopy[] {
  const n = target.length;
  const copies: NoisedCopy[] = [];
  for (let iteration = 0; iteration < mcNum / strata; iteration++) {
    for (const count of maskCounts(n, strata, noise.maskCount(request, iteration, n))) {
      const permutation = noise.permutation(request, copies.length, n);
      const ids = Int32Array.from([
        ...prefix,
        ...target.map((id, i) => (permutation[i]! < count ? maskId : id)),
      ]);
      copies.push({ ids, maskRatio: count / n });
    }
  }
  return copies;
}

function addCopies(
  rows: Map<string, DistinctRow>,
  request: number,
  copies: readonly NoisedCopy[],
  maskId: number,
): void {
  for (const [number, { ids, maskRatio }] of copies.entries()) {
    const key = ids.join();
    let row = rows.get(key);
    if (row === undefined) {
      row = { ids, positions: maskedPositions(ids, maskId), uses: [] };
      rows.set(key, row);
    }
    const last = row.uses.at(-1);
    if (last?.request === request) last.copies.push({ number, maskRatio });
    else row.uses.push({ request, copies: [{ number, maskRatio }] });
  }
}

/** Sets the weighted loss of each copy that the rows stand for. */
async function computeLosses(
  inputs: LikelihoodInputs,
  rows: ReadonlyMap<string, DistinctRow>,
  losses: readonly Float64Array[],
): Promise<void> {
  const scored = [...rows.values()]
    .sort((a, b) => a.ids.length - b.ids.length)
    .map((row) => ({
      ...row,
      targets: row.uses.map(({ request }) => originals(inputs.requests[request]!, row.positions)),
    }));
  for await (const { row, crossEntropies } of scoreRows(inputs, scored)) {
    for (const [use, { request, copies }] of row.uses.entries()) {
      for (const { number, maskRatio } of copies) {
        losses[request]![number] = crossEntropies[use]! / maskRatio;
      }
    }
  }
}

/** The tokens of a request at some columns. */
function originals({ prefix, target }: EncodedPair, columns: Int32Array): Int32Array {
  return columns.map((column) =>
    column < prefix.length ? prefix[column]! : target[column - prefix.length]!,
  );
}
