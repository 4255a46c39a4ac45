/** @file Held-out likelihood on stand-in models whose true value is known. */
import { describe, expect, test } from "vitest";
import { tokenDatasetOf } from "../../src/data/token-dataset.js";
import {
  heldoutLikelihood,
  type HeldoutInputs,
  type HeldoutState,
} from "../../src/evaluate/heldout-likelihood.js";
import { fakeModel, type FakeModel } from "../sample/fake-model.js";

const VOCAB = 8;
const MASK = 7;

/** Rows of 4 prompt tokens and 3 to 20 answer tokens. */
const dataset = tokenDatasetOf(
  Array.from({ length: 30 }, (_, row) => ({
    ids: Array.from({ length: 7 + ((row * 5) % 18) }, (_, i) => (row + i) % 6),
    promptLength: 4,
  })),
  "trainable",
);

function inputs(model: FakeModel, changes: Partial<HeldoutInputs> = {}): HeldoutInputs {
  return {
    model,
    dataset,
    rows: Array.from({ length: dataset.rows }, (_, row) => row),
    maskId: MASK,
    padId: 6,
    mask: { schedule: "linear", time_epsilon: 1e-3, loss_weight_type: "scheduler" },
    mcNum: 32,
    batchSize: 8,
    seed: 3,
    ...changes,
  };
}

const indifferent = (): FakeModel => fakeModel(VOCAB, () => 0);
/** Prefers an id that depends on the first visible neighbours. */
const opinionated = (): FakeModel =>
  fakeModel(VOCAB, (row, column, id) => ((row[column - 1] ?? 0) * 3 + id) % 5);

describe("heldoutLikelihood", () => {
  test("an indifferent model has log(vocab) nats per token, for both schedules", async () => {
    for (const schedule of ["linear", "cosine"] as const) {
      const mask = { schedule, time_epsilon: 1e-3, loss_weight_type: "scheduler" } as const;
      const [nll, ppl] = await heldoutLikelihood(inputs(indifferent(), { mask, mcNum: 256 }));
      expect(nll!.stderr).toBeGreaterThan(0);
      expect(nll!.stderr).toBeLessThan(0.1);
      expect(Math.abs(nll!.value - Math.log(VOCAB))).toBeLessThan(4 * nll!.stderr!);
      expect(ppl!.value).toBeCloseTo(Math.exp(nll!.value), 10);
      expect(nll!.n).toBe(30);
    }
  });

  test("is the weighted sum over masks, by hand, for one row and one copy", async () => {
    const mask = { schedule: "linear", time_epsilon: 1e-3, loss_weight_type: "uniform" } as const;
    const model = indifferent();
    const [nll] = await heldoutLikelihood(inputs(model, { rows: [9], mcNum: 1, mask }));
    const tokens = dataset.length(9) - 4;
    const masked = model.requests[0]!.positions.length;
    expect(nll!.value).toBeCloseTo((masked * Math.log(VOCAB)) / tokens, 5);
    expect(nll!.stderr).toBeUndefined();
    expect(nll!.protocol).toContain(`${tokens} tokens`);
  });

  test("the prompt is never masked and padding is hidden", async () => {
    const model = indifferent();
    await heldoutLikelihood(inputs(model, { mcNum: 2 }));
    for (const { positions, seq, inputIds, attentionMask } of model.requests) {
      for (const position of positions) {
        expect(position % seq).toBeGreaterThanOrEqual(4);
        expect(attentionMask?.[position] ?? 1).toBe(1);
      }
      if (attentionMask) {
        inputIds.forEach((id, i) => expect(attentionMask[i]).toBe(id === 6 ? 0 : 1));
      }
    }
    expect(model.requests.some(({ attentionMask }) => attentionMask)).toBe(true);
  });

  test("does not depend on the batch size; equal noised rows are computed once", async () => {
    const [small, large] = [opinionated(), opinionated()];
    const [a] = await heldoutLikelihood(inputs(small, { batchSize: 3 }));
    const [b] = await heldoutLikelihood(inputs(large, { batchSize: 50 }));
    expect(b!.value).toBeCloseTo(a!.value, 12);
    const computed = small.requests.reduce((sum, { batch }) => sum + batch, 0);
    expect(computed).toBeLessThan(30 * 32);
    const [other] = await heldoutLikelihood(inputs(opinionated(), { seed: 4 }));
    expect(other!.value).not.toBe(a!.value);
  });

  test("continues a saved state to the same figures", async () => {
    const states: HeldoutState[] = [];
    const whole = await heldoutLikelihood(
      inputs(opinionated(), {
        batchSize: 4,
        onProgress: (state) => Promise.resolve(void states.push(state)),
      }),
    );
    expect(states.length).toBeGreaterThan(3);
    const saved = JSON.parse(JSON.stringify(states[2])) as HeldoutState;
    const model = opinionated();
    const resumed = await heldoutLikelihood(inputs(model, { batchSize: 4, resume: saved }));
    expect(resumed).toEqual(whole);
    expect(states.at(-1)!.done).toBe(30);
    const rest = inputs(opinionated(), { batchSize: 4, resume: states.at(-1)! });
    expect(await heldoutLikelihood(rest)).toEqual(whole);
    expect((rest.model as FakeModel).requests).toEqual([]);
  });
});
