/** @file Standard errors and row selection. */
import { expect, test } from "vitest";
import { meanWithError, ratioWithError, selectRows } from "../../src/evaluate/result.js";

test("mean and ratio with their standard errors", () => {
  // p = 3/4: sqrt(p (1 - p) / (n - 1)).
  expect(meanWithError([1, 1, 1, 0])).toEqual({ value: 0.75, stderr: 0.25 });
  expect(meanWithError([1])).toEqual({ value: 1 });
  // With equal denominators the ratio is the mean.
  const ratio = ratioWithError([2, 2, 2, 0], [2, 2, 2, 2]);
  expect(ratio.value).toBe(0.75);
  expect(ratio.stderr).toBeCloseTo(0.25, 12);
  // Rows that are all at the ratio leave no error.
  expect(ratioWithError([2, 6], [1, 3])).toEqual({ value: 2, stderr: 0 });
});

test("a limit takes evenly spread rows", () => {
  expect(selectRows(5, -1)).toEqual([0, 1, 2, 3, 4]);
  expect(selectRows(9, 3)).toEqual([0, 3, 6]);
  expect(selectRows(2, 10)).toEqual([0, 1]);
  expect(selectRows(3, 0)).toEqual([]);
});
