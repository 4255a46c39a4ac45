/** @file Token lists that are none. */
import { expect, test } from "vitest";
import { DllmError } from "../../src/base/errors.js";
import { parseTokenList } from "../../src/evaluate/parse-token-list.js";

test.each([
  ["[1;x]", '"x"'],
  ["1;2.5", '"2.5"'],
  ["1,2", '"1,2"'],
  [[1, 2.5], "2.5"],
  [[null], "null"],
])("%j", (value, found) => {
  let error: unknown;
  try {
    parseTokenList(value);
  } catch (thrown) {
    error = thrown;
  }
  expect(error).toBeInstanceOf(DllmError);
  expect((error as DllmError).format()).toBe(
    `token list: found ${found}, expected a token id\n` +
      "  ids are integers separated by semicolons, as in [126081;126348]",
  );
});
