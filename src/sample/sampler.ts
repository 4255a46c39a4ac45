/**
 * @file Generation: each prompt is followed by mask tokens, which are denoised block by block.
 * Source: ZHZisZZ/dllm@ca17675 dllm/core/samplers/mdlm.py, MDLMSampler.sample.
 */
import type { MaskedLanguageModel } from "../model/masked-lm.js";
import type { SamplerSettings } from "../recipe/schema.js";
import {
  denoise,
  type DenoiseSettings,
  type SampleOptions,
  type SampleResult,
  type SpecialIds,
} from "./denoise.js";

export interface SampleSettings
  extends DenoiseSettings, Pick<SamplerSettings, "max_new_tokens" | "block_size"> {
  /** Width of the canvas, used when max_new_tokens is 0. */
  max_length?: number;
}

export type Prompt = readonly number[] | Int32Array;

/**
 * Returns the canvas int32 [batch, seq] of prompts and their continuations, seq being the longest
 * prompt plus max_new_tokens: prompt, generated tokens, then eos up to the width.
 * The model may predict the mask token, so masks can remain; all blocks always run.
 * @throws RangeError when steps, block_size or the number of new tokens is below 1.
 */
export async function sample(
  model: MaskedLanguageModel,
  ids: SpecialIds,
  prompts: readonly Prompt[],
  settings: SampleSettings,
  options: SampleOptions = {},
): Promise<SampleResult> {
  const { block_size: blockSize } = settings;
  requirePositive("steps", settings.steps);
  requirePositive("block_size", blockSize);
  if (prompts.length === 0)
    return { batch: 0, seq: 0, canvas: new Int32Array(), sequences: [], steps: 0 };

  const batch = prompts.length;
  const longest = Math.max(...prompts.map((prompt) => prompt.length));
  const newTokens = settings.max_new_tokens || (settings.max_length ?? 0) - longest;
  requirePositive("max_new_tokens (or max_length minus the longest prompt)", newTokens);
  const seq = longest + newTokens;

  const canvas = new Int32Array(batch * seq).fill(ids.eosId);
  prompts.forEach((prompt, row) => {
    const start = row * seq;
    canvas.set(prompt, start);
    canvas.fill(ids.maskId, start + prompt.length, start + prompt.length + newTokens);
  });
  const promptLength = (row: number): number => prompts[row]!.length;
  const blockEnd = (block: number, row: number): number =>
    promptLength(row) + Math.min((block + 1) * blockSize, newTokens);
  return denoise({
    model,
    ids,
    canvas,
    batch,
    seq,
    attended: prompts.map((prompt) => prompt.length + newTokens),
    hidesEosOfOneRow: false,
    blocks: Math.ceil(newTokens / blockSize),
    counted: (block, row) => ({
      start: promptLength(row) + block * blockSize,
      end: blockEnd(block, row),
    }),
    // No lower bound: leftovers of earlier blocks and masks inside the prompt take part.
    eligible: (block, row) => ({ start: 0, end: blockEnd(block, row) }),
    settings,
    options,
  });
}

export function requirePositive(name: string, value: number): void {
  if (Number.isInteger(value) && value >= 1) return;
  throw new RangeError(`sampler: ${name} is ${value}, expected an integer of at least 1`);
}
