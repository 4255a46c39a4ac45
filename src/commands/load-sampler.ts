/** @file What `sample` and `chat` have in common: a model ready to answer, and its settings. */
import { availableParallelism } from "node:os";
import { loadTokenizer, type Tokenizer } from "../data/tokenizer.js";
import { loadMaskedLm, type MaskedLanguageModel } from "../model/masked-lm.js";
import { readArchitecture } from "../model/model-directory.js";
import { samplerFields, type SamplerSettings } from "../recipe/schema.js";
import type { DenoiseSettings } from "../sample/denoise.js";
import type { RunsOptions, SamplerOptions } from "./command.js";
import { resolveModel } from "./resolve-model.js";

export interface LoadedSampler {
  title: string;
  model: MaskedLanguageModel;
  tokenizer: Tokenizer;
  settings: SamplerSettings & Pick<DenoiseSettings, "confidence_threshold">;
  /** Longest canvas the model is meant for, in tokens. */
  maxPositions: number;
}

/**
 * Loads a model directory or a run's final model. Settings come from the options, then from the
 * run's evaluation, then from the schema's defaults.
 */
export async function loadSampler(
  name: string,
  options: SamplerOptions & RunsOptions,
): Promise<LoadedSampler> {
  const { directory, title, sampler } = resolveModel(name, options.runs);
  const { config } = readArchitecture(directory);
  const tokenizer = await loadTokenizer(directory);
  const model = await loadMaskedLm(directory, {
    threads: availableParallelism(),
    precision: options.precision,
    device: options.device,
  });
  return {
    title,
    model,
    tokenizer,
    settings: { ...(sampler ?? defaultSampler()), ...samplerOverrides(options) },
    maxPositions: config.maxPositions,
  };
}

function defaultSampler(): SamplerSettings {
  return Object.fromEntries(
    Object.entries(samplerFields).map(([key, field]) => [key, field.defaultValue]),
  ) as unknown as SamplerSettings;
}

function samplerOverrides(options: SamplerOptions): Partial<LoadedSampler["settings"]> {
  const overrides = {
    max_new_tokens: options.maxNewTokens,
    block_size: options.blockSize,
    steps: options.steps,
    temperature: options.temperature,
    remasking: options.remasking,
    cfg_scale: options.cfgScale,
    confidence_threshold: options.confidenceThreshold,
  };
  return Object.fromEntries(Object.entries(overrides).filter(([, value]) => value !== undefined));
}
