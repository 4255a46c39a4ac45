/** @file Dataset strings: errors in full, and what a part may hold. */
import { expect, test } from "vitest";
import { DllmError } from "../../src/base/errors.js";
import { parseDatasetArgs } from "../../src/data/dataset-args.js";

const both = ["|", "+"] as const;

const errorOf = (text: string): string => {
  try {
    parseDatasetArgs(text, both);
  } catch (error) {
    expect(error).toBeInstanceOf(DllmError);
    expect((error as DllmError).exitCode).toBe(65);
    return (error as DllmError).format();
  }
  throw new Error("no error");
};

test("parts, options and separators", () => {
  expect(parseDatasetArgs("a/b[train:5_000, test:100] | npm:@x/y/z.txt + c[k:v]", both)).toEqual([
    { name: "a/b", options: { train: 5000, test: 100 } },
    { name: "npm:@x/y/z.txt", options: {} },
    { name: "c", options: { k: "v" } },
  ]);
});

test("a character that is no separator may be in a name", () => {
  const names = (separators: readonly ("|" | "+")[]) =>
    parseDatasetArgs("c++/a | b+c", separators).map(({ name }) => name);
  expect(names(["|"])).toEqual(["c++/a", "b+c"]);
  expect(names(["+"])).toEqual(["c", "/a | b", "c"]);
  expect(names(both)).toEqual(["c", "/a", "b", "c"]);
});

test("keys like __proto__ stay plain options", () => {
  const [part] = parseDatasetArgs("a[__proto__:1]", both);
  expect(Object.keys(part!.options)).toEqual(["__proto__"]);
  expect(Object.getPrototypeOf(part!.options)).toBe(Object.prototype);
});

test("errors", () => {
  expect(errorOf("data[train]")).toBe(
    'dataset "data[train]": entry "train" is not key:value\n' +
      "  expected row limits and options such as [train:1000,test:100]",
  );
  expect(errorOf(" + ")).toBe(
    'no dataset is named\n  found: " + "\n  expected "name", or several joined by "+"',
  );
  expect(errorOf("a=1")).toBe(
    'dataset "a=1" has no name\n  expected "name" or "name[train:1000,test:100]"',
  );
});
