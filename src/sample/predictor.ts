/**
 * @file From the canvas to a token and a confidence at each masked position: inside the graph
 * where nothing changes the logits, else from the logits.
 * Source: ZHZisZZ/dllm@ca17675 dllm/core/samplers/mdlm.py.
 */
import type { Predictions } from "../model/masked-lm.js";
import type { DenoiseInputs } from "./denoise.js";
import type { SamplerNoise } from "./noise.js";
import { chooseToken, guideLogits, tokenProbability } from "./predict.js";

/** Predicts the flat positions, ascending, of the current canvas, at a step. */
export type Predictor = (positions: Int32Array, step: number) => Promise<Predictions>;

/** Returns the predictor that the settings ask for. */
export function createPredictor(inputs: DenoiseInputs, noise: SamplerNoise): Predictor {
  const { settings, seq } = inputs;
  const isPlain =
    settings.temperature === 0 &&
    settings.cfg_scale === 0 &&
    !settings.suppress_tokens?.length &&
    !settings.begin_suppress_tokens?.length;
  const predict = isPlain ? plainPredictor(inputs) : logitsPredictor(inputs, noise);
  if (settings.remasking !== "random") return predict;
  return async (positions, step) => {
    const { ids } = await predict(positions, step);
    const score = noise.remasking(step);
    const confidences = Float32Array.from(positions, (position) =>
      score(Math.floor(position / seq), position % seq),
    );
    return { ids, confidences };
  };
}

function plainPredictor(inputs: DenoiseInputs): Predictor {
  const { model, canvas, batch, seq } = inputs;
  const { attentionMask } = firstCanvasMasks(inputs);
  return (positions) =>
    model.predict({
      inputIds: canvas.slice(),
      batch,
      seq,
      ...(attentionMask && { attentionMask }),
      positions,
    });
}

/** Chooses from the logits: with guidance, suppressed ids, or noise. */
function logitsPredictor(inputs: DenoiseInputs, noise: SamplerNoise): Predictor {
  const { vocabSize } = inputs.model;
  const { temperature, begin_suppress_tokens: beginSuppressed = [] } = inputs.settings;
  const forward = createForward(inputs);
  return async (positions, step) => {
    const all = await forward(positions);
    const gumbel = temperature === 0 ? undefined : noise.gumbel(step);
    const ids = new Int32Array(positions.length);
    const confidences = new Float32Array(positions.length);
    positions.forEach((position, slot) => {
      const logits = all.subarray(slot * vocabSize, (slot + 1) * vocabSize);
      const row = Math.floor(position / inputs.seq);
      const uniforms = gumbel?.(row, position % inputs.seq) ?? (() => 0);
      ids[slot] = chooseToken(logits, temperature, uniforms);
      for (const id of beginSuppressed) logits[id] = -Infinity;
      confidences[slot] = tokenProbability(logits, ids[slot]!);
    });
    return { ids, confidences };
  };
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
