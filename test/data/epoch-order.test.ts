/** @file Epoch order: a permutation, a pure function of its arguments, grouped on request. */
import { expect, test } from "vitest";
import { epochOrder } from "../../src/data/epoch-order.js";
import { lengthGroupedOrder } from "../../src/data/length-grouping.js";

const lengths = Uint32Array.from({ length: 500 }, (_, i) => 5 + ((i * 7919) % 60));
const base = { lengths, seed: 42, epoch: 0, groupByLength: true, batchSize: 8 };
const sorted = (order: Int32Array): number[] => Array.from(order).sort((a, b) => a - b);

test.each([true, false])("every row once (groupByLength %s)", (groupByLength) => {
  const order = epochOrder({ ...base, groupByLength });
  expect(sorted(order)).toEqual(lengths.reduce<number[]>((all, _, i) => [...all, i], []));
  expect(epochOrder({ ...base, groupByLength })).toEqual(order);
});

test("seed and epoch change the order", () => {
  const order = epochOrder(base);
  expect(epochOrder({ ...base, epoch: 1 })).not.toEqual(order);
  expect(epochOrder({ ...base, seed: 43 })).not.toEqual(order);
});

test("grouping leaves little padding", () => {
  const padding = (order: Int32Array): number => {
    let cells = 0;
    for (let start = 0; start < order.length; start += 8) {
      const batch = Array.from(order.subarray(start, start + 8), (row) => lengths[row]!);
      cells += Math.max(...batch) * batch.length;
    }
    return cells / lengths.reduce((sum, length) => sum + length, 0) - 1;
  };
  expect(padding(epochOrder({ ...base, groupByLength: false }))).toBeGreaterThan(0.5);
  expect(padding(epochOrder(base))).toBeLessThan(0.1);
});

test("no row, one row", () => {
  expect(lengthGroupedOrder([], 4, new Int32Array(0))).toEqual(new Int32Array(0));
  expect(lengthGroupedOrder([3], 4, Int32Array.of(0))).toEqual(Int32Array.of(0));
});
