/** @file Splitting, limiting and merging, where it differs from the reference or fails. */
import { expect, test } from "vitest";
import { limitSplits, mergeSplits, trainTestSplit, withTestSplit } from "../../src/data/splits.js";

const rows = (n: number): number[] => Array.from({ length: n }, (_, i) => i);

// DIFFERS: the reference gives train rows 0-2 and test rows 0-1.
test("limits of a single split never put a row into both train and test", () => {
  const limit = (options: Record<string, number>, overlapping = false) =>
    limitSplits({ train: rows(6) }, options, { dataset: "d", overlapping });
  expect(limit({ train: 3, test: 2 })).toEqual({ test: [0, 1], train: [2, 3, 4] });
  expect(limit({ test: 2 })).toEqual({ test: [0, 1], train: [2, 3, 4, 5] });
  expect(limit({ train: 3 })).toEqual({ train: [0, 1, 2] });
  expect(limit({ train: 3, test: 2 }, true)).toEqual({ test: [0, 1], train: [0, 1, 2] });
});

test("a test split is taken only where there is none", () => {
  const both = { train: rows(20), test: [99] };
  expect(withTestSplit(both, 0.1, 42)).toBe(both);
  expect(withTestSplit({ train: rows(20) }, 0, 42)).toEqual({ train: rows(20) });
  const { train, test } = withTestSplit({ train: rows(20) }, 0.1, 42);
  expect(test).toHaveLength(2);
  expect([...train!, ...test!].sort((a, b) => a - b)).toEqual(rows(20));
});

test("splits of several datasets are joined in order; a missing split is no error", () => {
  const merged = mergeSplits<string>([{ train: ["a"], test: ["b"] }, { train: ["c", "d"] }]);
  expect(merged).toEqual({ train: ["a", "c", "d"], test: ["b"] });
});

test("errors", () => {
  expect(() => trainTestSplit(1, 0.5, 42)).toThrow(
    "test_fraction 0.5 of 1 row leaves none to train on",
  );
  expect(() => trainTestSplit(0, 0.5, 42)).toThrow("a dataset has no row to train on");
  expect(() => limitSplits({ train: rows(3) }, { train: "-5" }, { dataset: "d" })).toThrow(
    'dataset "d": row limit train:-5',
  );
});
