/** @file Columns that a recipe names: both forms say the same, and none is silently not read. */
import { expect, test } from "vitest";
import type { DllmError } from "../../src/base/errors.js";
import { datasetParts } from "../../src/data/dataset-args.js";
import { rowReader } from "../../src/data/row-mapping.js";
import { parseRecipe } from "../../src/recipe/load.js";
import { parseDatasets } from "../../src/stages/pins.js";

const reader = (options: Record<string, string>) =>
  rowReader({ name: "d", options, textField: "text" });
const row = (value: Record<string, string>) => ({ value, where: "d:1" });

test("the list names columns as brackets do", () => {
  const list = datasetParts([{ name: "d", prompt: "q", completion: "a", max_samples: 3 }], ["+"]);
  expect(list).toEqual(datasetParts("d[prompt:q,completion:a,max_samples:3]", ["+"]));
  expect(reader({ prompt: "q", completion: "a" }).messages(row({ q: "1+1?", a: "2" }))).toEqual([
    { role: "user", content: "1+1?" },
    { role: "assistant", content: "2" },
  ]);
  expect(reader({ text: "body" }).text(row({ text: "no", body: "yes" }))).toBe("yes");
});

test("a text or a conversation: as the columns named say, else as the row looks", () => {
  const pair = row({ q: "1+1?", a: "2" });
  expect(reader({ prompt: "q", completion: "a" }).isText(pair)).toBe(false);
  expect(reader({ text: "q" }).isText(row({ q: "a", prompt: "b" }))).toBe(true);
  expect(reader({}).isText(pair)).toBe(true);
  expect(reader({}).isText(row({ prompt: "1+1?", completion: "2" }))).toBe(false);
});

function problemOf(sections: string): string {
  const text = `name: r\nmodel: {name_or_path: m}\n${sections}`;
  try {
    parseDatasets(parseRecipe(text, { file: "r.yaml" }));
  } catch (error) {
    return (error as DllmError).format();
  }
  throw new Error("no problem was found");
}

test.each([
  [
    "pretrain: {dataset_args: 'd[prompt:q,completion:a]'}",
    'r.yaml:3:26: dataset "d": pretrain does not read the column "prompt"',
    "expected text, or no column: it is found by its name",
  ],
  [
    "sft: {dataset_args: [{name: d, text: body}]}",
    'r.yaml:3:21: dataset "d": sft does not read the column "text"',
    "expected messages, prompt, completion, or no column: it is found by its name",
  ],
  [
    "sft: {dataset_args: [{name: d, prompt: q}]}",
    'r.yaml:3:21: dataset "d": prompt and completion go together',
    "expected both, such as [prompt:question,completion:answer]",
  ],
  [
    "sft: {dataset_args: 'd[messages:m,prompt:q,completion:a]'}",
    'r.yaml:3:21: dataset "d": both messages and prompt are named',
    "expected one of: messages; prompt and completion; text",
  ],
])("refused before anything is read: %s", (sections, message, detail) => {
  const problem = problemOf(sections);
  expect(problem).toContain(message);
  expect(problem).toContain(detail);
});
