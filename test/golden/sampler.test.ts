/** @file Every frame of sampling and infilling against the reference (golden/sampler/README.md). */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { alphaSchedules } from "../../src/diffusion/alpha-schedule.js";
import { loadMaskedLm, type MaskedLanguageModel } from "../../src/model/masked-lm.js";
import { modelFamilies } from "../../src/model/registry.js";
import type { SampleOptions, SampleResult } from "../../src/sample/denoise.js";
import { infill, type InfillSettings } from "../../src/sample/infill.js";
import type { SamplerNoise } from "../../src/sample/noise.js";
import { sample, type SampleSettings } from "../../src/sample/sampler.js";
import { testEngine } from "../support/engine.js";
import { goldenDirectory, printGolden } from "../support/golden.js";
import { torchGenerator } from "../support/torch-random.js";

type HashDraw = [kind: "rand_like" | "rand", shape: number[], salt: number];

interface SamplerCase {
  name: string;
  method: "sample" | "infill";
  scheduler: keyof typeof alphaSchedules;
  config: Partial<Record<keyof SampleSettings | "max_length", unknown>>;
  inputs: number[][];
  n_frames: number;
  first_frame: number[][];
  changes: [row: number, column: number, id: number][][];
  sequences: number[][];
  masks_left: number;
  noise?: { kind: "hash"; draws: HashDraw[] } | `torch:${number}`;
}
interface SamplerGolden {
  ids: { mask: number; eos: number };
  cases: SamplerCase[];
}

const golden = goldenDirectory();

/** The golden set's formula for value i of the draw with a salt, a 32-bit integer. */
function hash(i: number, salt: number): number {
  let h = (i + Math.imul(salt, 0x9e3779b1)) >>> 0;
  h ^= h >>> 16;
  h = Math.imul(h, 0x85ebca6b);
  h ^= h >>> 13;
  h = Math.imul(h, 0xc2b2ae35);
  h ^= h >>> 16;
  return h >>> 0;
}

/** Noise that repeats the listed draws, each checked for its kind and its shape. */
function hashNoise(draws: readonly HashDraw[], batch: number, seq: number, vocab: number) {
  let next = 0;
  const take = (kind: HashDraw[0], shape: number[]): number => {
    const draw = draws[next++];
    expect(draw?.slice(0, 2)).toEqual([kind, shape]);
    return draw![2];
  };
  const noise: SamplerNoise = {
    gumbel() {
      const salt = take("rand_like", [batch, seq, vocab]);
      return (row, position) => {
        let i = (row * seq + position) * vocab;
        return () => hash(i++, salt) / 2 ** 32;
      };
    },
    remasking() {
      const salt = take("rand", [batch, seq]);
      return (row, position) => (hash(row * seq + position, salt) >>> 8) / 2 ** 24;
    },
    transfer() {
      throw new Error("no golden case with hash noise draws transfer counts");
    },
  };
  return { noise, used: () => next };
}

/** Noise of PyTorch's generator, which fills whole tensors in call order. */
function torchNoise(seed: number, batch: number, seq: number, vocab: number): SamplerNoise {
  const generator = torchGenerator(seed);
  return {
    gumbel() {
      const values = Float64Array.from({ length: batch * seq * vocab }, generator.uniform64);
      return (row, position) => {
        let i = (row * seq + position) * vocab;
        return () => values[i++]!;
      };
    },
    remasking() {
      const values = Float64Array.from({ length: batch * seq }, generator.uniform32);
      return (row, position) => values[row * seq + position]!;
    },
    transfer: () => generator.binomial,
  };
}

const defaults: SampleSettings = {
  max_new_tokens: 128,
  block_size: 128,
  steps: 128,
  temperature: 0,
  remasking: "low_confidence",
  stochastic_transfer: false,
  cfg_scale: 0,
};

async function runCase(
  model: MaskedLanguageModel,
  { ids, given }: { ids: SamplerGolden["ids"]; given: SamplerCase },
): Promise<{ result: SampleResult; frames: Int32Array[] }> {
  const { noise, inputs } = given;
  const batch = given.first_frame.length;
  const seq = given.first_frame[0]!.length;
  const hashed =
    typeof noise === "object" ? hashNoise(noise.draws, batch, seq, model.vocabSize) : undefined;
  const injected =
    hashed?.noise ??
    (typeof noise === "string"
      ? torchNoise(Number(noise.slice("torch:".length)), batch, seq, model.vocabSize)
      : undefined);
  const frames: Int32Array[] = [];
  const options: SampleOptions = {
    onFrame: ({ canvas }) => void frames.push(canvas),
    ...(injected && { noise: injected }),
  };
  const config = Object.fromEntries(
    Object.entries(given.config).map(([key, value]) => [
      key,
      key === "max_new_tokens" ? (value ?? 0) : value,
    ]),
  );
  const settings = { ...defaults, ...config, schedule: alphaSchedules[given.scheduler] };
  const special = { maskId: ids.mask, eosId: ids.eos };
  const result =
    given.method === "sample"
      ? await sample(model, special, inputs, settings as SampleSettings, options)
      : await infill(model, special, inputs, settings as InfillSettings, options);
  if (hashed && typeof noise === "object") expect(hashed.used()).toBe(noise.draws.length);
  return { result, frames };
}

/** All frames of a case, as its first one and the changes give them. */
function expectedFrames({ first_frame, changes }: SamplerCase): number[][] {
  const seq = first_frame[0]!.length;
  const canvas = first_frame.flat();
  return [
    canvas.slice(),
    ...changes.map((cells) => {
      for (const [row, column, id] of cells) canvas[row * seq + column] = id;
      return canvas.slice();
    }),
  ];
}

describe.each(["modernbert", "bert", "roberta"])("golden sampler %s", (family) => {
  const file = join(golden ?? "", "sampler", `${family}.json`);
  if (golden === undefined || !existsSync(file)) {
    test.skip("golden values are absent", () => undefined);
    return;
  }
  if (!(family in modelFamilies)) {
    console.warn(`skipped: golden sampler ${family}: this model family is not implemented`);
    test.skip("the model family is not implemented", () => undefined);
    return;
  }
  const { ids, cases } = JSON.parse(readFileSync(file, "utf8")) as SamplerGolden;
  let model: MaskedLanguageModel;
  let exactCases = 0;
  let frameCount = 0;
  beforeAll(async () => {
    model = await loadMaskedLm(join(golden, "models", family), testEngine);
  });
  afterAll(async () => {
    await model.dispose();
    printGolden(`sampler ${family}, cases`, exactCases);
    printGolden(`sampler ${family}, frames`, frameCount);
  });

  test.each(cases)("$name", async (given) => {
    const { result, frames } = await runCase(model, { ids, given });
    expect(frames.length).toBe(given.n_frames);
    expect(frames.map((frame) => [...frame])).toEqual(expectedFrames(given));
    expect(result.sequences.map((row) => [...row])).toEqual(given.sequences);
    expect(result.canvas.filter((id) => id === ids.mask).length).toBe(given.masks_left);
    frameCount += frames.length;
    exactCases++;
  });
});
