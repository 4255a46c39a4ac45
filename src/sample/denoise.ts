/**
 * @file The denoising loop that sampling and infilling share: block by block, step by step, the
 * most confident predictions replace their mask tokens.
 * Source: ZHZisZZ/dllm@ca17675 dllm/core/samplers/mdlm.py; SAMPLING semantics are exact, frame by
 * frame, except where logits tie (there the lowest index wins).
 */
import { alphaSchedules, type AlphaSchedule } from "../diffusion/alpha-schedule.js";
import type { MaskedLanguageModel } from "../model/masked-lm.js";
import type { SamplerSettings } from "../recipe/schema.js";
import { seededNoise, type SamplerNoise } from "./noise.js";
import { topIndices } from "./predict.js";
import { createPredictor } from "./predictor.js";
import { transferCounts } from "./transfer-counts.js";

/** Settings of the denoising loop; what only some callers need may be left out. */
export interface DenoiseSettings extends Omit<
  SamplerSettings,
  "max_new_tokens" | "block_size" | "attention_mask"
> {
  /** Default row. */
  attention_mask?: SamplerSettings["attention_mask"];
  /** Default linear. */
  schedule?: AlphaSchedule;
  /**
   * Faster sampling, an approximation: a step also reveals every prediction of the block at least
   * as confident as this, so that later steps may have nothing left to do (parallel decoding of
   * arXiv:2505.22618). Absent: the transfer counts alone decide.
   */
  confidence_threshold?: number;
  /** Ids that are never chosen. */
  suppress_tokens?: readonly number[];
  /** Ids that may be chosen, but with confidence 0 (the reference's name is misleading). */
  begin_suppress_tokens?: readonly number[];
  /** Ids that the unconditional half of classifier-free guidance may see. */
  cfg_keep_tokens?: readonly number[];
}

/** The ids of a tokenizer that the sampler needs. */
export interface SpecialIds {
  maskId: number;
  eosId: number;
}

/** The canvas after a step; step 0 is the canvas before any. */
export interface SampleFrame {
  step: number;
  batch: number;
  seq: number;
  /** int32 [batch, seq], a copy. */
  canvas: Int32Array;
}

export interface SampleOptions {
  /** Default: counter-based streams of `seed`. */
  noise?: SamplerNoise;
  /** Default 0. Unused when `noise` is given. */
  seed?: number;
  /** See SeededNoiseOptions. */
  rowIds?: ArrayLike<number>;
  /** Called with the first canvas and after every step, and awaited. */
  onFrame?: (frame: SampleFrame) => void | Promise<void>;
  /** Checked before each step; its reason is thrown. */
  signal?: AbortSignal;
}

export interface SampleResult {
  batch: number;
  seq: number;
  /** int32 [batch, seq] */
  canvas: Int32Array;
  /** Views of the canvas' rows, int32 [seq] each. */
  sequences: Int32Array[];
  /** Forward passes. */
  steps: number;
}

/** Columns [start, end) of a row. */
export interface ColumnRange {
  start: number;
  end: number;
}

export interface DenoiseInputs {
  model: MaskedLanguageModel;
  ids: SpecialIds;
  /** int32 [batch, seq]; changed in place. */
  canvas: Int32Array;
  batch: number;
  seq: number;
  /** Columns of each row that are not padding, from 0: [batch]. */
  attended: readonly number[];
  /** Whether attention_mask `not_eos` hides eos also where the batch has one row only. */
  hidesEosOfOneRow: boolean;
  blocks: number;
  /** Columns whose masks decide how many tokens block b reveals in a row. */
  counted(block: number, row: number): ColumnRange;
  /** Columns whose masks may be replaced in block b of a row. */
  eligible(block: number, row: number): ColumnRange;
  settings: DenoiseSettings;
  options: SampleOptions;
}

/** Denoises a canvas. Tokens once revealed are never masked again. */
export async function denoise(inputs: DenoiseInputs): Promise<SampleResult> {
  const { canvas, batch, seq, blocks, ids, settings, options } = inputs;
  const schedule = settings.schedule ?? alphaSchedules.linear;
  const { seed = 0, rowIds } = options;
  const noise = options.noise ?? seededNoise({ seed, ...(rowIds && { rowIds }) });
  const threshold = settings.confidence_threshold ?? Infinity;
  const stepsPerBlock = Math.ceil(settings.steps / blocks);
  const predict = createPredictor(inputs, noise);

  const report = async (step: number): Promise<void> =>
    options.onFrame?.({ step, batch, seq, canvas: canvas.slice() });
  let step = 0;
  await report(step);
  for (let block = 0; block < blocks; block++) {
    const counts = Array.from({ length: batch }, (_, row) => {
      const { start, end } = inputs.counted(block, row);
      const columns = canvas.subarray(row * seq + start, row * seq + end);
      const masks = columns.reduce((sum, id) => (id === ids.maskId ? sum + 1 : sum), 0);
      return transferCounts({
        masks,
        steps: stepsPerBlock,
        schedule,
        ...(settings.stochastic_transfer && { binomial: noise.transfer(block, row) }),
      });
    });
    const blockSteps = Math.max(0, ...counts.map((row) => row.length));
    for (let blockStep = 0; blockStep < blockSteps; blockStep++) {
      options.signal?.throwIfAborted();
      const candidates = counts.map((row, index) =>
        (row[blockStep] ?? 0) === 0 ? [] : maskedPositions(inputs, block, index),
      );
      const positions = Int32Array.from(candidates.flat());
      // Only a threshold reveals more than the counts, which sum to the masks.
      if (positions.length === 0) break;
      const predictions = await predict(positions, step);
      let first = 0;
      candidates.forEach((positions, row) => {
        const confidences = predictions.confidences.subarray(first, first + positions.length);
        const sure = confidences.filter((confidence) => confidence >= threshold).length;
        for (const index of topIndices(confidences, Math.max(counts[row]![blockStep] ?? 0, sure))) {
          canvas[positions[index]!] = predictions.ids[first + index]!;
        }
        first += positions.length;
      });
      step++;
      await report(step);
    }
  }
  const sequences = Array.from({ length: batch }, (_, row) =>
    canvas.subarray(row * seq, (row + 1) * seq),
  );
  return { batch, seq, canvas, sequences, steps: step };
}

/** Flat indices of the masks of a row that may be replaced in a block, ascending. */
function maskedPositions(inputs: DenoiseInputs, block: number, row: number): number[] {
  const { start, end } = inputs.eligible(block, row);
  const positions: number[] = [];
  for (let column = start; column < end; column++) {
    const position = row * inputs.seq + column;
    if (inputs.canvas[position] === inputs.ids.maskId) positions.push(position);
  }
  return positions;
}
