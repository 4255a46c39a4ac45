/** @file The order of folders: who may import from whom, and what a cold command loads. */
import { expect, test } from "vitest";
import { importsOf, loadedWith, sourceFiles } from "./support/imports.js";

const domain = ["base", "graph", "engine", "model", "data", "diffusion"];
const belowStages = [
  ...domain,
  "hub",
  "recipe",
  "plan",
  "report",
  "train",
  "sample",
  "evaluate",
  "export",
];

/** Folder to the folders it may import from, itself aside. */
const ranks: Readonly<Record<string, readonly string[]>> = {
  base: [],
  graph: ["base"],
  engine: ["base", "graph"],
  model: ["base", "graph", "engine"],
  hub: ["base"],
  data: ["base", "hub"],
  diffusion: ["base"],
  recipe: ["base"],
  plan: ["base", "recipe"],
  report: ["base"],
  run: ["base", "recipe", "plan", "report"],
  train: domain,
  sample: domain,
  evaluate: [...domain, "sample"],
  export: ["base", "graph", "engine", "model", "data", "hub"],
  chat: ["base", "sample", "data", "model"],
  stages: belowStages,
  commands: [...belowStages, "stages", "run", "chat"],
  cli: ["commands", "base"],
};

/** Descriptions of settings and stages: their types may be imported from everywhere. */
const sharedTypes = ["recipe/schema.ts", "plan/stage.ts", "plan/params.ts"];

function folderOf(file: string): string {
  const slash = file.indexOf("/");
  return slash === -1 ? file.replace(/\.ts$/, "") : file.slice(0, slash);
}

const files = sourceFiles();

test("every folder has a rank", () => {
  expect(files.length).toBeGreaterThan(30);
  expect([...new Set(files.map(folderOf))].filter((folder) => !(folder in ranks))).toEqual([]);
});

test.each(Object.entries(ranks))("%s imports only from its rank", (folder, allowed) => {
  const wrong = files
    .filter((file) => folderOf(file) === folder)
    .flatMap((file) => importsOf(file).map((imported) => ({ file, ...imported })))
    .filter(({ target }) => target.endsWith(".ts"))
    .filter(({ target, typeOnly }) => !(typeOnly && sharedTypes.includes(target)))
    .filter(({ target }) => folderOf(target) !== folder && !allowed.includes(folderOf(target)))
    .map(({ file, target }) => `${file} imports ${target}`);
  expect(wrong).toEqual([]);
});

const packagesOf = (modules: ReadonlySet<string>) =>
  [...modules].filter((name) => !name.endsWith(".ts") && !name.startsWith("node:")).sort();

test("`dllm --version` loads nothing but the command line", () => {
  const loaded = loadedWith("cli.ts");
  expect(packagesOf(loaded)).toEqual(["commander"]);
  const folders = new Set([...loaded].filter((name) => name.endsWith(".ts")).map(folderOf));
  expect([...folders].sort()).toEqual(["base", "cli", "commands"]);
});

test("cold commands load parsing and validation, and nothing that computes", () => {
  expect(packagesOf(loadedWith("commands/validate.ts"))).toEqual(["yaml"]);
  expect(packagesOf(loadedWith("commands/schema.ts"))).toEqual([]);
  expect(packagesOf(loadedWith("commands/plan.ts"))).toEqual(["picocolors", "yaml"]);
});

test("nothing below recipe/ and plan/ reaches a heavy package, not even lazily", () => {
  const heavy = /onnxruntime|tokenizers|tfjs|jinja|execa|listr2/;
  const light = files.filter((file) => ["recipe", "plan"].includes(folderOf(file)));
  expect(light.length).toBeGreaterThan(10);
  const found = light.flatMap((file) => importsOf(file)).filter(({ target }) => heavy.test(target));
  expect(found).toEqual([]);
});
