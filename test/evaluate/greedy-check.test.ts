/** @file Greedy checks where the golden cases do not reach. */
import { describe, expect, test } from "vitest";
import type { EncodedPair } from "../../src/evaluate/encode-pair.js";
import { greedyMatches } from "../../src/evaluate/greedy-check.js";
import { fakeModel, type FakeModel } from "../sample/fake-model.js";

const MASK = 7;

const check = (model: FakeModel, requests: EncodedPair[], batchSize = 4): Promise<boolean[]> =>
  greedyMatches({ model, maskId: MASK, padId: 8, batchSize, requests });

/** Writes one more than the id on the left, the more surely the further left. */
const counting = (): FakeModel =>
  fakeModel(9, (row, column, id) => (id === (row[column - 1] ?? 0) + 1 ? 20 - column : 0));

describe("greedyMatches", () => {
  const requests = [
    { prefix: [1], target: [2, 3, 4] },
    { prefix: [1], target: [2, 4, 4] },
    { prefix: [0, 1, 2, 3], target: [4] },
    { prefix: [], target: [1, 2, 3, 4, 5, 6] },
    { prefix: [2, 2], target: [] },
  ];
  const wanted = [true, false, true, true, true];

  test("answers of requests of different lengths do not depend on the batch", async () => {
    for (const batchSize of [1, 2, 10]) {
      expect(await check(counting(), requests, batchSize)).toEqual(wanted);
    }
  });

  test("stops at the first wrong token", async () => {
    const model = counting();
    expect(await check(model, [requests[1]!])).toEqual([false]);
    expect(model.requests).toHaveLength(2);
  });

  test("a predicted mask token stays a mask", async () => {
    const model = fakeModel(9, (_row, _column, id) => (id === MASK ? 1 : 0));
    const pairs = [
      { prefix: [1], target: [MASK, MASK] },
      { prefix: [1], target: [MASK, 2] },
    ];
    expect(await check(model, pairs)).toEqual([true, false]);
    expect(model.requests).toHaveLength(2);
  });

  test("masks of the prefix use up steps, so the end stays masked", async () => {
    const pairs = [
      { prefix: [1, MASK], target: [3, 4] },
      { prefix: [1, MASK], target: [3, MASK] },
    ];
    expect(await check(counting(), pairs)).toEqual([false, true]);
  });

  test("among equally sure predictions the first is written", async () => {
    // Sure of 1 while the right neighbour is masked, of 2 afterwards.
    const model = fakeModel(9, (row, column, id) =>
      id === (row[column + 1] === MASK ? 1 : 2) ? 5 : 0,
    );
    expect(await check(model, [{ prefix: [0], target: [1, 1, 2] }])).toEqual([true]);
  });
});
