/** @file The sampler's rules on a stand-in model; real models are in test/golden/sampler.test.ts. */
import { describe, expect, test } from "vitest";
import { alphaSchedules } from "../../src/diffusion/alpha-schedule.js";
import type { SampleFrame } from "../../src/sample/denoise.js";
import { infill } from "../../src/sample/infill.js";
import { seededNoise } from "../../src/sample/noise.js";
import { chooseToken, tokenProbability, topIndices } from "../../src/sample/predict.js";
import { sample, type SampleSettings } from "../../src/sample/sampler.js";
import { transferCounts } from "../../src/sample/transfer-counts.js";
import { fakeModel, type FakeModel } from "./fake-model.js";

const MASK = 9;
const EOS = 8;
const ids = { maskId: MASK, eosId: EOS };
const settings: SampleSettings = {
  max_new_tokens: 6,
  block_size: 4,
  steps: 4,
  temperature: 0,
  remasking: "low_confidence",
  stochastic_transfer: false,
  cfg_scale: 0,
};

/** Predicts id (column mod 8), surer the further to the left. */
const leftFirst = () =>
  fakeModel(10, (_, column, id) => (id === column % 8 ? 10 - column / 10 : 0));

const masksIn = (canvas: Int32Array): number => canvas.filter((id) => id === MASK).length;

describe("sample", () => {
  test("two prompts of unequal length, two blocks of two steps", async () => {
    const model = leftFirst();
    const frames: SampleFrame[] = [];
    const prompts = [
      [1, 2, 3],
      [4, 5, 6, 7, 0],
    ];
    const result = await sample(model, ids, prompts, settings, {
      onFrame: (frame) => void frames.push(frame),
    });
    expect([result.batch, result.seq, result.steps]).toEqual([2, 11, 4]);
    expect(frames.map(({ step }) => step)).toEqual([0, 1, 2, 3, 4]);
    expect([...frames[0]!.canvas]).toEqual([
      ...[1, 2, 3, MASK, MASK, MASK, MASK, MASK, MASK, EOS, EOS],
      ...[4, 5, 6, 7, 0, MASK, MASK, MASK, MASK, MASK, MASK],
    ]);
    expect(frames.map(({ canvas }) => masksIn(canvas.subarray(0, 11)))).toEqual([6, 4, 2, 1, 0]);
    expect([...result.sequences[0]!]).toEqual([1, 2, 3, 3, 4, 5, 6, 7, 0, EOS, EOS]);
    expect([...result.sequences[1]!]).toEqual([4, 5, 6, 7, 0, 5, 6, 7, 0, 1, 2]);
    // Filler after the shorter row is hidden from the model.
    expect([...model.requests[0]!.attentionMask!]).toEqual([
      ...[1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0],
      ...[1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1],
    ]);
  });

  test("asks for logits at masks of the current block only, without a mask if all is visible", async () => {
    const model = leftFirst();
    await sample(model, ids, [[1, 2]], settings);
    expect(model.requests.map(({ positions }) => [...positions])).toEqual([
      [2, 3, 4, 5],
      [4, 5],
      [6, 7],
      [7],
    ]);
    expect(model.requests.every(({ attentionMask }) => attentionMask === undefined)).toBe(true);
  });

  test("a predicted mask token spends its step and stays masked", async () => {
    const model = fakeModel(10, (_, __, id) => (id === MASK ? 5 : 0));
    const result = await sample(model, ids, [[1]], settings);
    expect(masksIn(result.canvas)).toBe(6);
    expect(result.steps).toBe(4);
  });

  test("a mask inside the prompt is filled, out of the block's budget", async () => {
    const result = await sample(leftFirst(), ids, [[1, MASK, 2]], { ...settings, steps: 2 });
    // Block 0 reveals 4 of its 5 eligible masks, block 1 two of the three that are left.
    expect([...result.canvas]).toEqual([1, 1, 2, 3, 4, 5, 6, 7, MASK]);
  });

  test("suppressed ids are never chosen; begin-suppressed ones lose their confidence", async () => {
    const model = () => fakeModel(10, (_, column, id) => (id === 3 ? 8 : id === column ? 6 : 0));
    const one = { ...settings, max_new_tokens: 4, steps: 4 };
    const suppressed = await sample(model(), ids, [[1]], { ...one, suppress_tokens: [3] });
    expect([...suppressed.canvas]).toEqual([1, 1, 2, 0, 4]);

    const order: number[] = [];
    await sample(
      model(),
      ids,
      [[1]],
      {
        ...one,
        begin_suppress_tokens: [3],
      },
      { onFrame: ({ canvas }) => void order.push(canvas.indexOf(3)) },
    );
    // All confidences are 0: the lowest column comes first.
    expect(order).toEqual([-1, 1, 1, 1, 1]);
  });

  test("a confidence threshold reveals what is sure at once, and skips steps that it empties", async () => {
    // Even columns are sure of their id, odd ones are torn between two.
    const model = () =>
      fakeModel(10, (_, column, id) => (id === column % 2 ? 20 : id === 5 && column % 2 ? 20 : 0));
    const one = { ...settings, max_new_tokens: 8, block_size: 8, steps: 8 };
    const exact = await sample(model(), ids, [[1]], one);
    const fast = await sample(model(), ids, [[1]], { ...one, confidence_threshold: 0.9 });
    expect(exact.steps).toBe(8);
    // The first step reveals columns 2, 4, 6 and 8; the four others need one step each.
    expect(fast.steps).toBe(5);
    expect([...fast.canvas]).toEqual([...exact.canvas]);
  });

  test("guidance compares with a canvas whose prompt is masked, except kept tokens", async () => {
    // Prefers id 1 if the prompt is visible, id 2 if not, and id 3 always a bit less.
    const model = fakeModel(10, (row, _, id) =>
      id === (row[0] === 7 ? 1 : 2) ? 4 : id === 3 ? 3 : 0,
    );
    const guided = { ...settings, max_new_tokens: 1, steps: 1, cfg_scale: 1 };
    const plain = await sample(model, ids, [[7, 6]], guided);
    expect(plain.canvas[2]).toBe(1);
    const [request] = model.requests;
    expect([...request!.inputIds]).toEqual([7, 6, MASK, MASK, MASK, MASK]);
    expect([...request!.positions]).toEqual([2, 5]);
    await sample(model, ids, [[7, 6]], { ...guided, cfg_keep_tokens: [7] });
    expect([...model.requests[1]!.inputIds]).toEqual([7, 6, MASK, 7, MASK, MASK]);
  });

  test("random draws of a row do not depend on its batch", async () => {
    const noisy: SampleSettings = {
      ...settings,
      temperature: 1,
      remasking: "random",
      stochastic_transfer: true,
    };
    const flat = () => fakeModel(10, () => 0);
    const prompts = [[1], [2], [3]];
    const together = await sample(flat(), ids, prompts, noisy, { seed: 5 });
    const alone = await sample(flat(), ids, [[3]], noisy, { seed: 5, rowIds: [2] });
    const other = await sample(flat(), ids, [[3]], noisy, { seed: 6, rowIds: [2] });
    expect([...together.sequences[2]!]).toEqual([...alone.canvas]);
    expect([...other.canvas]).not.toEqual([...alone.canvas]);
  });

  test("no prompts, no new tokens, no steps", async () => {
    expect((await sample(leftFirst(), ids, [], settings)).sequences).toEqual([]);
    await expect(sample(leftFirst(), ids, [[1]], { ...settings, steps: 0 })).rejects.toThrow(
      "sampler: steps is 0, expected an integer of at least 1",
    );
    await expect(
      sample(leftFirst(), ids, [[1]], { ...settings, max_new_tokens: 0, max_length: 1 }),
    ).rejects.toThrow(RangeError);
  });

  test("stops when its signal is aborted", async () => {
    const abort = new AbortController();
    const running = sample(leftFirst(), ids, [[1]], settings, {
      signal: abort.signal,
      onFrame: ({ step }) => {
        if (step === 2) abort.abort();
      },
    });
    await expect(running).rejects.toThrow(/abort/i);
  });
});

describe("attention_mask not_eos", () => {
  const notEos: SampleSettings = {
    ...settings,
    max_new_tokens: 2,
    block_size: 2,
    steps: 2,
    attention_mask: "not_eos",
  };
  const withEos = [1, EOS, 2];
  /** Generates eos first, at the left. */
  const ending = () =>
    fakeModel(10, (_, column, id) => (id === (column === 3 ? EOS : 7) ? 10 - column : 0));
  const masksOf = (model: FakeModel) =>
    model.requests.map(({ attentionMask }) => attentionMask && [...attentionMask]);

  test("one row is seen whole, its eos included", async () => {
    const model = ending();
    await sample(model, ids, [withEos], notEos);
    expect(masksOf(model)).toEqual([undefined, undefined]);
  });

  test("several rows: eos of prompts and padding is hidden, generated eos is not", async () => {
    const model = ending();
    const result = await sample(model, ids, [withEos, [4]], notEos);
    const first = [...[1, 0, 1, 1, 1], ...[1, 1, 1, 0, 0]];
    expect(masksOf(model)).toEqual([first, first]);
    expect([...model.requests[1]!.inputIds]).toEqual([1, EOS, 2, EOS, MASK, 4, 7, MASK, EOS, EOS]);
    expect([...result.canvas]).toEqual([1, EOS, 2, EOS, 7, 4, 7, 7, EOS, EOS]);

    const row = ending();
    await sample(row, ids, [withEos, [4]], { ...notEos, attention_mask: "row" });
    expect(masksOf(row)[0]).toEqual([...[1, 1, 1, 1, 1], ...[1, 1, 1, 0, 0]]);
  });

  test("several rows without eos are seen whole", async () => {
    const model = ending();
    await sample(model, ids, [[1], [4]], notEos);
    expect(masksOf(model)).toEqual([undefined, undefined]);
  });

  test.each([
    ["not_eos", [MASK, EOS, MASK]],
    ["row", [MASK, MASK, MASK]],
  ] as const)("guidance of one row hides what %s calls given", async (attention_mask, prompt) => {
    const model = ending();
    await sample(model, ids, [withEos], { ...notEos, attention_mask, cfg_scale: 1 });
    const [request] = model.requests;
    expect([...request!.inputIds]).toEqual([...withEos, MASK, MASK, ...prompt, MASK, MASK]);
    expect(request!.attentionMask).toBeUndefined();
  });

  test("guidance of several rows: both halves have the mask, and eos and kept ids stay", async () => {
    const model = ending();
    await sample(model, ids, [withEos, [4]], { ...notEos, cfg_scale: 1, cfg_keep_tokens: [2] });
    const mask = [...[1, 0, 1, 1, 1], ...[1, 1, 1, 0, 0]];
    expect(masksOf(model)[0]).toEqual([...mask, ...mask]);
    expect([...model.requests[0]!.inputIds.subarray(10)]).toEqual([
      ...[MASK, EOS, 2, MASK, MASK],
      ...[MASK, MASK, MASK, EOS, EOS],
    ]);
  });

  test("infilling hides eos of one row too", async () => {
    const model = ending();
    await infill(model, ids, [[1, EOS, MASK]], notEos);
    expect(masksOf(model)).toEqual([[1, 0, 1]]);
  });
});

describe("infill", () => {
  test("fills only masks, window by window", async () => {
    const frames: number[] = [];
    const row = [MASK, 1, MASK, 2, MASK, 3, MASK];
    const result = await infill(
      leftFirst(),
      ids,
      [row],
      { ...settings, block_size: null },
      { onFrame: ({ canvas }) => void frames.push(masksIn(canvas)) },
    );
    expect(frames).toEqual([4, 3, 2, 1, 0]);
    expect([...result.canvas]).toEqual([0, 1, 2, 2, 4, 3, 6]);
  });

  test("a window without masks costs nothing, and shorter rows are padded", async () => {
    const model = leftFirst();
    const result = await infill(model, ids, [[1, 2, 3, 4, MASK, 5], [MASK]], {
      ...settings,
      block_size: 2,
      steps: 3,
    });
    expect(result.steps).toBe(2);
    expect([...result.canvas]).toEqual([1, 2, 3, 4, 4, 5, 0, EOS, EOS, EOS, EOS, EOS]);
    expect(model.requests.map(({ positions }) => [...positions])).toEqual([[6], [4]]);
  });
});

describe("predictions", () => {
  test("ties go to the lowest index", () => {
    expect(chooseToken(Float32Array.of(1, 3, 3), 0, () => 0)).toBe(1);
    expect(topIndices([0.5, 0.7, 0.5, 0.7], 3)).toEqual([1, 3, 0]);
  });

  test("Gumbel noise draws from softmax(logits / temperature)", () => {
    const logits = Float32Array.of(0, 1, 2);
    const temperature = 0.7;
    const gumbel = seededNoise({ seed: 1 });
    const counts = [0, 0, 0];
    const draws = 20_000;
    for (let i = 0; i < draws; i++) {
      const uniforms = gumbel.gumbel(i)(0, 0);
      counts[chooseToken(logits, temperature, uniforms)]!++;
    }
    const scaled = logits.map((logit) => logit / temperature);
    counts.forEach((count, id) => {
      const probability = tokenProbability(scaled, id);
      const deviation = Math.sqrt(draws * probability * (1 - probability));
      expect(Math.abs(count - draws * probability)).toBeLessThan(4 * deviation);
    });
  });
});

describe("transferCounts", () => {
  const { linear } = alphaSchedules;

  test("sum to the masks, each at least 1, within the steps", () => {
    for (const schedule of Object.values(alphaSchedules)) {
      for (let masks = 0; masks < 40; masks += 3) {
        for (const steps of [1, 2, 7, 64]) {
          const counts = transferCounts({ masks, steps, schedule });
          expect(counts.reduce((sum, count) => sum + count, 0)).toBe(masks);
          expect(counts.every((count) => count >= 1)).toBe(true);
          expect(counts.length).toBeLessThanOrEqual(steps);
        }
      }
    }
  });

  test("float32 and half-to-even are observable", () => {
    expect(transferCounts({ masks: 4, steps: 3, schedule: linear })).toEqual([1, 1, 2]);
    expect(transferCounts({ masks: 5, steps: 2, schedule: linear })).toEqual([2, 3]);
  });

  test("stochastic counts average to the rounded ones and sum to the masks", () => {
    const noise = seededNoise({ seed: 3 });
    let firstSteps = 0;
    const runs = 400;
    for (let run = 0; run < runs; run++) {
      const binomial = noise.transfer(run, 0);
      const counts = transferCounts({ masks: 20, steps: 4, schedule: linear, binomial });
      expect(counts.reduce((sum, count) => sum + count, 0)).toBe(20);
      firstSteps += counts[0]!;
    }
    // Mean 5, variance 20 * 1/4 * 3/4 per run.
    expect(Math.abs(firstSteps / runs - 5)).toBeLessThan(4 * Math.sqrt(3.75 / runs));
  });
});
