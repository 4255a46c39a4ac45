/**
 * @file Infilling: the mask tokens inside given rows are denoised, window by window.
 * Source: ZHZisZZ/dllm@ca17675 dllm/core/samplers/mdlm.py, MDLMSampler.infill.
 */
import type { MaskedLanguageModel } from "../model/masked-lm.js";
import {
  denoise,
  type DenoiseSettings,
  type SampleOptions,
  type SampleResult,
  type SpecialIds,
} from "./denoise.js";
import { requirePositive, type Prompt } from "./sampler.js";

export interface InfillSettings extends DenoiseSettings {
  /** Width of a window, counted from the start of the rows; null for one window over all. */
  block_size: number | null;
}

/**
 * Returns the canvas int32 [batch, seq] of rows with their mask tokens filled in, padded on the
 * right with eos to the longest row.
 * @throws RangeError when steps or block_size is below 1.
 */
export async function infill(
  model: MaskedLanguageModel,
  ids: SpecialIds,
  rows: readonly Prompt[],
  settings: InfillSettings,
  options: SampleOptions = {},
): Promise<SampleResult> {
  const batch = rows.length;
  const seq = Math.max(0, ...rows.map((row) => row.length));
  const blockSize = settings.block_size ?? Math.max(1, seq);
  requirePositive("steps", settings.steps);
  requirePositive("block_size", blockSize);

  const canvas = new Int32Array(batch * seq).fill(ids.eosId);
  rows.forEach((row, index) => canvas.set(row, index * seq));
  const window = (block: number, row: number): { start: number; end: number } => {
    const start = Math.min(block * blockSize, rows[row]!.length);
    return { start, end: Math.min(start + blockSize, rows[row]!.length) };
  };
  return denoise({
    model,
    ids,
    canvas,
    batch,
    seq,
    attended: rows.map((row) => row.length),
    hidesEosOfOneRow: true,
    blocks: Math.max(1, Math.ceil(seq / blockSize)),
    counted: window,
    eligible: window,
    settings,
    options,
  });
}
