import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { DllmError, ExitCode } from "../../src/base/errors.js";
import { loadRecipe } from "../../src/recipe/load.js";
import { problemsOf } from "../support/recipes.js";

let directory: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "dllm-recipe-"));
});
afterAll(() => {
  rmSync(directory, { recursive: true });
});

async function failure(file: string): Promise<{ text: string; exitCode: ExitCode }> {
  try {
    await loadRecipe(file);
  } catch (error) {
    if (error instanceof DllmError) return { text: error.format(), exitCode: error.exitCode };
    throw error;
  }
  throw new Error(`${file} was accepted`);
}

test("a file is refused by kind and size before it is read as a whole", async () => {
  const fifo = join(directory, "fifo");
  execFileSync("mkfifo", [fifo]);
  const large = join(directory, "large.yaml");
  writeFileSync(large, "a: 1\n".repeat(100_000));
  const missing = join(directory, "missing.yaml");

  expect(await failure(fifo)).toEqual({
    text: `recipe ${fifo} is not a regular file`,
    exitCode: ExitCode.invalidInput,
  });
  expect((await failure(directory)).text).toBe(`recipe ${directory} is not a regular file`);
  expect((await failure("/dev/zero")).text).toBe("recipe /dev/zero is not a regular file");
  expect(await failure(large)).toEqual({
    text: `recipe ${large} has 500000 bytes, expected at most 131072`,
    exitCode: ExitCode.invalidInput,
  });
  expect(await failure(missing)).toEqual({
    text: `recipe ${missing} does not exist\n  start from a copy of recipes/quickstart.yaml`,
    exitCode: ExitCode.notFound,
  });
});

test("bytes that are no UTF-8 are named by line", async () => {
  const file = join(directory, "latin1.yaml");
  writeFileSync(file, Buffer.from("name: x\ndescription: caf\u00e9\n", "latin1"));
  expect(await failure(file)).toEqual({
    text: `${file}:2:1: the line is not valid UTF-8\n  save the file as UTF-8`,
    exitCode: ExitCode.invalidInput,
  });
});

const deep = 60_000;
const bounds: Record<string, [text: string, problem: string]> = {
  "NUL character": ["name: a\0b\n", "r.yaml:1:8: the text contains a NUL character"],
  "many lines": ["\n".repeat(20_001), "r.yaml:20001:1: the recipe has more than 20000 lines"],
  "flow lists": ["[".repeat(deep), "r.yaml:1:65: values are nested more than 64 deep"],
  "flow maps": ['{"a":'.repeat(20_000), "r.yaml:1:321: values are nested more than 64 deep"],
  "flow lists over lines": [
    "[\n".repeat(19_000),
    "r.yaml:65:1: values are nested more than 64 deep",
  ],
  // Brackets in quotes are text: they must not hide the others.
  "flow lists with brackets in quotes": [
    '["]", '.repeat(20_000),
    "r.yaml:1:385: values are nested more than 64 deep",
  ],
  "flow lists with brackets in comments": [
    "[ # ]\n".repeat(19_000),
    "r.yaml:65:1: values are nested more than 64 deep",
  ],
  "block lists": ["- ".repeat(deep), "r.yaml:1:129: values are nested more than 64 deep"],
  "explicit keys": ["? ".repeat(deep), "r.yaml:1:129: values are nested more than 64 deep"],
  "block maps": [
    Array.from({ length: 400 }, (_, i) => `${" ".repeat(i)}a:`).join("\n"),
    "r.yaml:65:65: values are nested more than 64 deep",
  ],
  aliases: [
    `a: &a 1\nb: [${"*a, ".repeat(200)}]\n`,
    "r.yaml:2:401: the recipe has more than 100 anchors and aliases",
  ],
  "alias bomb": [
    `a: &a [${"x, ".repeat(60)}]\n` +
      ["b", "c", "d"]
        .map((key, i) => `${key}: &${key} [${`*${"abc"[i]}, `.repeat(25)}]`)
        .join("\n"),
    "r.yaml:4:8: aliases expand the recipe to more than 50000 values",
  ],
};

test.each(Object.entries(bounds))("bounded: %s", (_, [text, problem]) => {
  const started = performance.now();
  const problems = problemsOf(text);
  expect(performance.now() - started).toBeLessThan(2000);
  expect(problems.split("\n")[0]).toBe(problem);
});

const refused: Record<string, [text: string, problem: string]> = {
  "two documents": ["name: x\n---\nname: y\n", "r.yaml:2:1: not valid YAML: "],
  "unknown tag": ["name: !evil x\n", "r.yaml:1:7: not valid YAML: Unresolved tag: !evil"],
  "known tag": ["name: !!str x\n", "r.yaml:1:13: tag tag:yaml.org,2002:str is not allowed"],
  "YAML directive 1.1": ["%YAML 1.1\n---\nname: yes\n", "r.yaml:"],
  cycle: ["name: &a [*a]\n", "r.yaml:1:11: alias *a contains itself"],
  "alias without anchor": ["name: *a\n", "r.yaml:1:7: alias *a has no anchor before it"],
  "prototype key": ["__proto__: {name: x}\n", 'r.yaml:1:1: key "__proto__" is not allowed'],
  "constructor key": ["mask: {constructor: 1}\n", 'key "constructor" is not allowed'],
  "merge key": ["mask: {<<: {schedule: cosine}}\n", 'unknown key "<<" in mask'],
  tab: [
    "model:\n\tconfig: {}\n",
    "r.yaml:2:1: not valid YAML: Tabs are not allowed as indentation",
  ],
  "list as key": ["? [a]\n: 1\n", "not valid YAML: "],
  "infinite number": ["seed: .inf\n", "r.yaml:1:7: the number .inf is not finite"],
  NaN: ["seed: .nan\n", "r.yaml:1:7: the number .nan is not finite"],
  "number beyond doubles": ["seed: 1e400\n", "r.yaml:1:7: the number 1e400 is not finite"],
  "integer beyond 2^53": [
    "seed: 9223372036854775808\n",
    "r.yaml:1:7: the integer 9223372036854775808 is too large",
  ],
};

test.each(Object.entries(refused))("refused: %s", (_, [text, problem]) => {
  expect(problemsOf(text)).toContain(problem);
});

test("a bad number is reported once", () => {
  expect(problemsOf("seed: 1e400\n").match(/r\.yaml:1:7/g)).toHaveLength(1);
});

test("anchors and aliases within bounds are plain values", () => {
  const text = `name: &n x
model: {config: {}}
tokenizer: {train: {vocab_size: 512, dataset_args: &d text}}
pretrain: {dataset_args: *d}
`;
  expect(problemsOf(text)).toBe("");
});

test("random mutations of bytes never crash the loader", async () => {
  const { readFile } = await import("node:fs/promises");
  const { randomStream } = await import("../../src/base/random.js");
  const original = await readFile("recipes/quickstart.yaml", "utf8");
  const stream = randomStream({ seed: 7, purpose: "order" });
  const alphabet = "[]{}:,-?&*!|>'\"%@`# \n\tax1.\0\u202e";
  let rejected = 0;
  for (let round = 0; round < 150; round++) {
    let text = original;
    for (let edit = 0; edit < 3; edit++) {
      const at = stream.below(text.length);
      const inserted = alphabet[stream.below(alphabet.length)]!;
      text = text.slice(0, at) + inserted + text.slice(at + stream.below(3));
    }
    // Throws what is no DllmError.
    if (problemsOf(text) !== "") rejected++;
  }
  expect(rejected).toBeGreaterThan(50);
});
