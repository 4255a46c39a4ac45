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
import { chooseToken, guideLogits, tokenProbability, topIndices } from "./predict.js";
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
  const stepsPerBlock = Math.ceil(settings.steps / blocks);
  const forward = createForward(inputs);

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
      const logits = await forward(Int32Array.from(candidates.flat()));
      const predict = createPredictor(inputs, noise, step);
      let slot = 0;
      candidates.forEach((positions, row) => {
        const predictions = positions.map((position) => {
          const start = slot++ * inputs.model.vocabSize;
          const values = logits.subarray(start, start + inputs.model.vocabSize);
          return predict(values, row, position % seq);
        });
        const confidences = predictions.map(({ confidence }) => confidence);
        for (const index of topIndices(confidences, counts[row]![blockStep] ?? 0)) {
          canvas[positions[index]!] = predictions[index]!.id;
        }
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

/**
 * Returns the forward pass: flat positions to float32 [positions, vocab] logits of the current
 * canvas, guided and with the suppressed ids at -Infinity.
 */
function createForward(inputs: DenoiseInputs): (positions: Int32Array) => Promise<Float32Array> {
  const { model, canvas, batch, seq, ids, settings } = inputs;
  const cells = batch * seq;
  const { attentionMask, given } = firstCanvasMasks(inputs);
  const { cfg_scale: scale } = settings;
  const suppressed = settings.suppress_tokens ?? [];

  return async (positions) => {
    let logits: Float32Array;
    if (scale > 0) {
      const both = new Int32Array(2 * cells);
      both.set(canvas);
      both.set(
        canvas.map((id, i) => (given[i] === 1 ? ids.maskId : id)),
        cells,
      );
      const bothPositions = new Int32Array(2 * positions.length);
      bothPositions.set(positions);
      bothPositions.set(
        positions.map((position) => position + cells),
        positions.length,
      );
      const values = await model.logits({
        inputIds: both,
        batch: 2 * batch,
        seq,
        ...(attentionMask && { attentionMask: twice(attentionMask) }),
        positions: bothPositions,
      });
      logits = values.subarray(0, values.length / 2);
      guideLogits(logits, values.subarray(values.length / 2), scale);
    } else {
      logits = await model.logits({
        inputIds: canvas.slice(),
        batch,
        seq,
        ...(attentionMask && { attentionMask }),
        positions,
      });
    }
    for (let start = 0; start < logits.length; start += model.vocabSize) {
      for (const id of suppressed) logits[start + id] = -Infinity;
    }
    return logits;
  };
}

function twice(values: Uint8Array): Uint8Array {
  const both = new Uint8Array(2 * values.length);
  both.set(values);
  both.set(values, values.length);
  return both;
}

/** What the canvas before the first step decides for all steps; each mask is [batch, seq]. */
interface FirstCanvasMasks {
  /** 1 where the model may look; absent where it sees everything. */
  attentionMask?: Uint8Array;
  /** 1 at what was known: hidden from the unconditional half of guidance. */
  given: Uint8Array;
}

/**
 * Returns the masks that the setting attention_mask makes of the first canvas. `not_eos` is that of
 * ZHZisZZ/dllm@aeab2042 dllm/pipelines/llada/generator.py: eos inside a prompt is hidden, and is
 * never known to guidance. DIFFERS: there guidance over several rows fails, as it doubles the
 * canvas and not the mask (test/sample/sampler.test.ts).
 */
function firstCanvasMasks(inputs: DenoiseInputs): FirstCanvasMasks {
  const { canvas, batch, seq, attended, ids, settings } = inputs;
  const hidesEos = settings.attention_mask === "not_eos";
  const shown = Uint8Array.from(canvas, (id, i) => {
    const isShown = hidesEos ? id !== ids.eosId : i % seq < attended[Math.floor(i / seq)]!;
    return isShown ? 1 : 0;
  });
  const keep = new Set(settings.cfg_keep_tokens);
  const given = Uint8Array.from(canvas, (id, i) =>
    id !== ids.maskId && shown[i] === 1 && !keep.has(id) ? 1 : 0,
  );
  const seesAll =
    shown.every((value) => value === 1) || (hidesEos && batch === 1 && !inputs.hidesEosOfOneRow);
  return { given, ...(!seesAll && { attentionMask: shown }) };
}

interface Prediction {
  id: number;
  confidence: number;
}

/** Returns the predictor of one step: logits of a position to its token and confidence. */
function createPredictor(
  { settings }: DenoiseInputs,
  noise: SamplerNoise,
  step: number,
): (logits: Float32Array, row: number, column: number) => Prediction {
  const { temperature, remasking } = settings;
  const beginSuppressed = settings.begin_suppress_tokens ?? [];
  const gumbel = temperature === 0 ? undefined : noise.gumbel(step);
  const scores = remasking === "random" ? noise.remasking(step) : undefined;
  return (logits, row, column) => {
    const id = chooseToken(logits, temperature, gumbel?.(row, column) ?? (() => 0));
    if (scores) return { id, confidence: scores(row, column) };
    for (const suppressed of beginSuppressed) logits[suppressed] = -Infinity;
    return { id, confidence: tokenProbability(logits, id) };
  };
}
