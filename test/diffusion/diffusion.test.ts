/** @file Properties of masking and loss weights that hold for any batch. */
import { describe, expect, test } from "vitest";
import { ShapeError } from "../../src/base/errors.js";
import { randomStream } from "../../src/base/random.js";
import { alphaSchedules } from "../../src/diffusion/alpha-schedule.js";
import { createNllMeter, positionWeights } from "../../src/diffusion/loss.js";
import { maskBatch, sampleTimestep, type MaskedBatch } from "../../src/diffusion/masking.js";

const MASK = 99;

/** A batch of rows whose ids are 0..seq-1 and whose first `row` tokens are not maskable. */
function maskRows(rows: readonly number[], seq: number, time: number): MaskedBatch {
  return maskBatch({
    batch: {
      inputIds: Int32Array.from(rows.flatMap(() => Array.from({ length: seq }, (_, i) => i))),
      maskable: Uint8Array.from(
        rows.flatMap((row) => Array.from({ length: seq }, (_, i) => (i >= row ? 1 : 0))),
      ),
      batch: rows.length,
      seq,
    },
    times: new Float32Array(rows.length).fill(time),
    uniforms: (index) => {
      const stream = randomStream({ seed: 7, purpose: "mask", sample: rows[index]! });
      return () => stream.uniform();
    },
    schedule: alphaSchedules.linear,
    maskId: MASK,
  });
}

describe("maskBatch", () => {
  test("leaves unmaskable tokens alone and masks everything maskable at t = 1", () => {
    const { noisedIds, positions, targets } = maskRows([2, 5], 8, 1);
    expect([...noisedIds.subarray(0, 8)]).toEqual([0, 1, MASK, MASK, MASK, MASK, MASK, MASK]);
    expect([...noisedIds.subarray(8)]).toEqual([0, 1, 2, 3, 4, MASK, MASK, MASK]);
    expect([...positions]).toEqual([2, 3, 4, 5, 6, 7, 13, 14, 15]);
    expect([...targets]).toEqual([2, 3, 4, 5, 6, 7, 5, 6, 7]);
  });

  test("a row's masks do not depend on the batch it is in", () => {
    const together = maskRows([0, 3, 1], 64, 0.5).noisedIds;
    const alone = maskRows([3], 64, 0.5).noisedIds;
    expect([...together.subarray(64, 128)]).toEqual([...alone]);
    expect([...together.subarray(0, 64)]).not.toEqual([...alone]);
  });

  test("masks about 1 - alpha(t) of the tokens", () => {
    const { positions } = maskRows([0], 20_000, 0.3);
    // Three standard deviations of a binomial.
    expect(Math.abs(positions.length - 6000)).toBeLessThan(3 * Math.sqrt(20_000 * 0.3 * 0.7));
  });

  test("names the argument whose shape is wrong", () => {
    const attempt = (): MaskedBatch =>
      maskBatch({
        batch: { inputIds: new Int32Array(6), maskable: new Uint8Array(6), batch: 2, seq: 3 },
        times: new Float32Array(2),
        uniforms: new Float32Array(5),
        schedule: alphaSchedules.linear,
        maskId: MASK,
      });
    expect(attempt).toThrow(new ShapeError("maskBatch: uniforms has 5 values, expected [2, 3]"));
  });
});

test("timesteps stay in [epsilon, 1)", () => {
  expect(sampleTimestep(0, 1e-3)).toBe(Math.fround(1e-3));
  expect(sampleTimestep(1 - 2 ** -24, 1e-3)).toBeLessThan(1);
});

test("norms divide by maskable tokens of the batch, of the row, or by rows", () => {
  const weights = (lossNormType: "token" | "sequence" | "batch"): number[] => [
    ...positionWeights({
      positions: Int32Array.of(0, 5),
      batch: 2,
      seq: 4,
      times: Float32Array.of(0.5, 0.25),
      schedule: alphaSchedules.linear,
      lossWeightType: "uniform",
      lossNormType,
      maskable: Uint8Array.of(1, 1, 1, 1, 0, 1, 0, 0),
    }),
  ];
  expect(weights("token")).toEqual([0.2, 0.2].map(Math.fround));
  expect(weights("sequence")).toEqual([1 / 8, 1 / 2]);
  expect(weights("batch")).toEqual([1 / 2, 1 / 2]);
});

test("a meter continues from its saved state", () => {
  const meter = createNllMeter();
  expect(meter.read().nll).toBeNaN();
  meter.add(6, 4);
  const resumed = createNllMeter(meter.state());
  resumed.add(2, 4);
  expect(resumed.read()).toEqual({ nll: 1, ppl: Math.E });
  resumed.reset();
  expect(resumed.state()).toEqual({ weightedNllSum: 0, maskableTokens: 0 });
});
