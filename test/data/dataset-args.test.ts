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

test("options of a general meaning are fields of their own", () => {
  const text =
    "a/b[name:all,split:train_sft,revision:v1.0,weight:0.5,max_samples:1_000,lang:en,test:9]";
  expect(parseDatasetArgs(text, both)).toEqual([
    {
      name: "a/b",
      config: "all",
      split: "train_sft",
      revision: "v1.0",
      weight: 0.5,
      maxSamples: 1000,
      options: { lang: "en", test: 9 },
    },
  ]);
  expect(errorOf("a[weight:-1]")).toBe(
    'dataset "a": weight is "-1"\n  expected a positive number, such as weight:2',
  );
  expect(errorOf("a[max_samples:1.5]")).toContain('max_samples is "1.5"');
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
