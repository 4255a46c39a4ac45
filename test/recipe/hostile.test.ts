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

/** Milliseconds that this process has computed: unlike time, it does not depend on others. */
function cpuMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

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
  expect((await failure(directory)).text).toBe(
    `recipe ${directory} is a directory, expected a file\n` +
      `  dllm ls ${directory} lists the recipes in it`,
  );
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
  const started = cpuMs();
  const problems = problemsOf(text);
  expect(cpuMs() - started).toBeLessThan(2000);
  expect(problems.split("\n")[0]).toBe(problem);
});

const refused: Record<string, [text: string, problem: string]> = {
  "two documents": ["name: x\n---\nname: y\n", "r.yaml:2:1: a second document begins here\n"],
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

test("what a recipe extends is bounded as it is itself, and named where it is extended", async () => {
  const child = join(directory, "child.yaml");
  const parent = join(directory, "parent.yaml");
  const write = (file: string, text: string) => {
    writeFileSync(file, text);
  };
  const extending = async (name: string) => {
    write(child, `name: x\nextends: ${name}\n`);
    const started = cpuMs();
    const { text, exitCode } = await failure(child);
    expect(cpuMs() - started).toBeLessThan(2000);
    return `exit ${exitCode}: ${text.split("\n")[0]!.replaceAll(`${directory}/`, "")}`;
  };
  const kind = "is not a regular file";
  expect(await extending("fifo")).toBe(`exit 65: child.yaml:2:10: recipe fifo ${kind}`);
  expect(await extending(".")).toBe(
    `exit 65: child.yaml:2:10: recipe ${directory} is a directory, expected a file`.replace(
      `${directory}/`,
      "",
    ),
  );
  expect(await extending("/dev/zero")).toBe(`exit 65: child.yaml:2:10: recipe /dev/zero ${kind}`);
  expect(await extending("large.yaml")).toBe(
    "exit 65: child.yaml:2:10: recipe large.yaml has 500000 bytes, expected at most 131072",
  );
  expect(await extending("latin1.yaml")).toBe(
    "exit 65: child.yaml:2:10: latin1.yaml:2:1: the line is not valid UTF-8",
  );
  for (const [bound, [text, problem]] of Object.entries(bounds)) {
    write(parent, text);
    expect(await extending("parent.yaml"), bound).toBe(
      `exit 65: ${problem.replace("r.yaml", "parent.yaml")}`,
    );
  }
  // Not only each file, but all together.
  const keys = Array.from({ length: 8_000 }, (_, i) => `k${i}: 1`).join("\n");
  const names = Array.from({ length: 12 }, (_, i) => `many-${i}.yaml`);
  for (const name of names) write(join(directory, name), keys);
  expect(await extending(`[${names.join(", ")}]`)).toBe(
    "exit 65: child.yaml:2:102: the recipe and what it extends have more than 50000 values",
  );
});

test("10,000 duplicate keys are reported in linear time", () => {
  const started = cpuMs();
  const problems = problemsOf("a: 1\n".repeat(10_000));
  expect(cpuMs() - started).toBeLessThan(1000);
  expect(problems).toMatch(/\n10003 problems in r\.yaml \(the first 20 are shown\)$/);
});

test("10,000 unknown keys are reported in linear time", () => {
  const keys = Array.from({ length: 10_000 }, (_, i) => `k${i}: 1`).join("\n");
  const started = cpuMs();
  expect(problemsOf(keys)).toMatch(/\n10003 problems in r\.yaml/);
  expect(cpuMs() - started).toBeLessThan(2000);
});

test("variables that double each other are no bomb", () => {
  const doubled = Array.from({ length: 60 }, (_, i) => `  v${i + 1}: "\${v${i}}\${v${i}}"`);
  const text = `name: x\nvars:\n  v0: xxxxxxxx\n${doubled.join("\n")}\ndescription: \${v60}\n`;
  const started = cpuMs();
  expect(problemsOf(text)).toContain("variables expand to a text of more than");
  expect(cpuMs() - started).toBeLessThan(2000);
  const lists = Array.from({ length: 60 }, (_, i) => `  v${i + 1}: ["\${v${i}}", "\${v${i}}"]`);
  expect(problemsOf(text.replace(doubled.join("\n"), lists.join("\n")))).toContain(
    "variables expand the recipe to more than 50000 values",
  );
  expect(cpuMs() - started).toBeLessThan(4000);
});

test("names from elsewhere never reach the terminal with control characters", async () => {
  const file = join(directory, "names.yaml");
  writeFileSync(
    file,
    'name: x\nvars: {"a\\e[31m": 1}\nextends: "no\\e[2J\u202e.yaml"\nprofiles: {"p\\e": {}}\n',
  );
  const { text } = await failure(file);
  // eslint-disable-next-line no-control-regex
  expect(text).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u202e]/);
  expect(text).toContain("does not exist");
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
