import { expect, test } from "vitest";
import { referenceDatasetText } from "../../src/plan/reference/dataset-text.js";
import type { DatasetArgs, DatasetSeparator, Edition } from "../../src/recipe/schema.js";

interface Given {
  edition?: Edition;
  kind?: "pretrain" | "sft";
  separators?: readonly DatasetSeparator[];
  locate?: (name: string) => string;
}

function read(datasetArgs: DatasetArgs, given: Given = {}): string | string[] {
  const outcome = referenceDatasetText({
    datasetArgs,
    edition: "head",
    kind: "sft",
    separators: ["|", "+"],
    keyPath: "sft.dataset_args",
    locate: (name) => name,
    ...given,
  });
  if (outcome.ok) return outcome.value;
  return outcome.problems.map(({ keyPath, message }) => `${keyPath}: ${message}`);
}

test("a text that the reference reads in the same way stays as it is written", () => {
  for (const text of [
    "tatsu-lab/alpaca",
    "allenai/tulu-3-sft-mixture+HuggingFaceTB/smoltalk",
    "tatsu-lab/alpaca[train:5000] | HuggingFaceTB/smoltalk[name:all,train:5_000,test:10]",
    "OpenCoder-LLM/opc-sft-stage2[name:educational_instruct,lang:python]",
  ]) {
    expect(read(text)).toBe(text);
  }
});

test("separators that the edition does not know are replaced", () => {
  const text = "allenai/tulu-3-sft-mixture + HuggingFaceTB/smoltalk[train:5]";
  expect(read(text, { edition: "report" })).toBe(
    "allenai/tulu-3-sft-mixture|HuggingFaceTB/smoltalk[train:5]",
  );
  // Not a separator in the recipe, but one in the reference's current code.
  expect(read("a+b", { separators: ["|"] })).toEqual([
    'sft.dataset_args: dataset a+b: the accelerate engine cannot be given a name with "+"',
  ]);
  expect(read("a+b", { separators: ["|"], edition: "report" })).toBe("a+b");
});

test("the list form becomes the text of the edition", () => {
  const list = [
    { name: "allenai/tulu-3-sft-mixture", train: 100 },
    { name: "HuggingFaceTB/smoltalk", config: "all", test: 5 },
  ];
  const text = "allenai/tulu-3-sft-mixture[train:100]?HuggingFaceTB/smoltalk[name:all,test:5]";
  expect(read(list)).toBe(text.replace("?", "+"));
  expect(read(list, { edition: "report" })).toBe(text.replace("?", "|"));
  expect(read([{ name: "wikitext", config: "wikitext-103-v1" }], { kind: "pretrain" })).toBe(
    "wikitext[name:wikitext-103-v1]",
  );
  expect(read("wikitext[config:wikitext-103-v1]", { kind: "pretrain" })).toBe(
    "wikitext[name:wikitext-103-v1]",
  );
});

test("a local dataset is named where the reference finds it", () => {
  const locate = (name: string) => (name === "data/rows" ? "/data/rows" : name);
  expect(read("data/rows[train:5] + b", { locate })).toBe("/data/rows[train:5]+b");
});

test("what the reference cannot express is named with its key", () => {
  expect(
    read([
      { name: "a", weight: 2, max_samples: 10 },
      { name: "b", split: "train", revision: "12345" },
    ]),
  ).toEqual([
    'sft.dataset_args.0.weight: dataset a: the accelerate engine does not know "weight"',
    'sft.dataset_args.0.max_samples: dataset a: the accelerate engine does not know "max_samples"',
    'sft.dataset_args.1.split: dataset b: the accelerate engine does not know "split"',
    'sft.dataset_args.1.revision: dataset b: the accelerate engine does not know "revision"',
  ]);
  expect(read("a[weight:2,revision:12345]")).toEqual([
    'sft.dataset_args: dataset a: the accelerate engine does not know "weight"',
    'sft.dataset_args: dataset a: the accelerate engine does not know "revision"',
  ]);
  // Only some loaders read a configuration or a language.
  expect(read("tatsu-lab/alpaca[name:x]")).toEqual([
    'sft.dataset_args: dataset tatsu-lab/alpaca: the accelerate engine does not know "name"',
  ]);
  expect(read("wikitext[lang:en]", { kind: "pretrain" })).toEqual([
    'sft.dataset_args: dataset wikitext: the accelerate engine does not know "lang"',
  ]);
  expect(read([{ name: "HuggingFaceTB/smoltalk", config: "a,b" }])).toEqual([
    'sft.dataset_args.0.config: dataset HuggingFaceTB/smoltalk: the accelerate engine cannot be given config: "a,b"',
  ]);
  expect(read("npm:pkg/data.txt")).toEqual([
    "sft.dataset_args: dataset npm:pkg/data.txt: the accelerate engine reads no npm packages",
  ]);
  expect(read([{ name: "a=b" }])).toEqual([
    'sft.dataset_args.0.name: dataset a=b: the accelerate engine cannot be given a name with "="',
  ]);
});
