/**
 * @file Weights that turn the cross entropies of the masked positions into the MDLM loss, and the
 * running NLL/perplexity. Source: ZHZisZZ/dllm@ca17675 dllm/core/trainers/mdlm.py,
 * dllm/core/trainers/utils/meters.py.
 */
import { ShapeError } from "../base/errors.js";
import type { MaskSettings } from "../recipe/schema.js";
import { lossWeight, type AlphaSchedule } from "./alpha-schedule.js";

export type LossWeightType = MaskSettings["loss_weight_type"];
export type LossNormType = MaskSettings["loss_norm_type"];

/** Returns w(t) of each row, float32 [batch]: the schedule's weight, or 1 for `uniform`. */
export function rowWeights(
  times: Float32Array,
  schedule: AlphaSchedule,
  lossWeightType: LossWeightType,
): Float32Array {
  return times.map((t) => (lossWeightType === "uniform" ? 1 : lossWeight(schedule, t)));
}

/**
 * Returns what each row's summed weighted cross entropy is divided by, [batch].
 * All denominators count maskable tokens, not masked ones:
 * - `token`    the maskable tokens of the batch (at least 1)
 * - `sequence` the row's maskable tokens (at least 1), times the rows
 * - `batch`    the rows
 */
export function rowDenominators(
  maskable: Uint8Array,
  batch: number,
  seq: number,
  lossNormType: LossNormType,
): Float64Array {
  if (maskable.length !== batch * seq) {
    throw new ShapeError(
      `rowDenominators: maskable has ${maskable.length} values, expected [${batch}, ${seq}]`,
    );
  }
  switch (lossNormType) {
    case "token":
      return new Float64Array(batch).fill(Math.max(1, countOnes(maskable)));
    case "sequence":
      return Float64Array.from(
        { length: batch },
        (_, row) => Math.max(1, countOnes(maskable.subarray(row * seq, (row + 1) * seq))) * batch,
      );
    case "batch":
      return new Float64Array(batch).fill(batch);
  }
}

export interface PositionWeightInputs {
  /** int32 [masked], row-major flat indices into [batch, seq] */
  positions: Int32Array;
  batch: number;
  seq: number;
  /** float32 [batch] */
  times: Float32Array;
  schedule: AlphaSchedule;
  lossWeightType: LossWeightType;
  lossNormType: LossNormType;
  /** uint8 [batch, seq], 1 where labels ≠ -100 */
  maskable: Uint8Array;
}

/**
 * Returns the weight of each masked position, float32 [masked], such that the loss is
 * sum(weights * cross entropy against the original token).
 */
export function positionWeights({
  positions,
  batch,
  seq,
  times,
  schedule,
  lossWeightType,
  lossNormType,
  maskable,
}: PositionWeightInputs): Float32Array {
  if (times.length !== batch) {
    throw new ShapeError(`positionWeights: times has ${times.length} values, expected [${batch}]`);
  }
  const weights = rowWeights(times, schedule, lossWeightType);
  const denominators = rowDenominators(maskable, batch, seq, lossNormType);
  return Float32Array.from(positions, (position) => {
    const row = Math.floor(position / seq);
    return weights[row]! / denominators[row]!;
  });
}

/** Returns how many entries are 1. */
export function countOnes(flags: Uint8Array): number {
  let count = 0;
  for (const flag of flags) if (flag === 1) count++;
  return count;
}

/**
 * Accumulates the weighted, un-normalised NLL of batches over their maskable tokens.
 * Its state is plain data, so that it survives a resume.
 */
export interface NllMeter {
  /** Adds sum(w(t) * cross entropy) over masked positions, and the count of maskable tokens. */
  add(weightedNllSum: number, maskableTokens: number): void;
  /** nats per maskable token and its exponential; both NaN before any maskable token. */
  read(): { nll: number; ppl: number };
  reset(): void;
  state(): NllMeterState;
}

export interface NllMeterState {
  weightedNllSum: number;
  maskableTokens: number;
}

/** Returns a meter, empty or continuing a saved state. */
export function createNllMeter(saved?: NllMeterState): NllMeter {
  let { weightedNllSum, maskableTokens } = saved ?? { weightedNllSum: 0, maskableTokens: 0 };
  return {
    add(sum, tokens) {
      weightedNllSum += sum;
      maskableTokens += tokens;
    },
    read() {
      const nll = weightedNllSum / maskableTokens;
      return { nll, ppl: Math.exp(nll) };
    },
    reset() {
      weightedNllSum = 0;
      maskableTokens = 0;
    },
    state: () => ({ weightedNllSum, maskableTokens }),
  };
}
