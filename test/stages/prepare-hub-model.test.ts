/** @file Models and tokenizers of a hub: resolved to a commit, brought in shards, checked, loaded. */
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { DllmError } from "../../src/base/errors.js";
import { openHub } from "../../src/hub/hub.js";
import { readModel } from "../../src/model/model-directory.js";
import { layOut, tensorsOf } from "../../src/model/parameters.js";
import { safetensorsBytes } from "../../src/model/safetensors.js";
import { planRun } from "../../src/plan/plan.js";
import { run } from "../../src/stages/prepare.js";
import { resolveInputs } from "../../src/stages/resolve-inputs.js";
import {
  commitOf,
  digestOf as digest,
  startHub,
  type HubServer,
  type ServedFile,
} from "../support/hub-server.js";
import { stageContext } from "../support/stage-context.js";
import { writeModelDirectory } from "../support/model-directory.js";
import { smallRecipe } from "../support/recipes.js";

const base = mkdtempSync(join(tmpdir(), "dllm-hub-model-"));
const original = join(base, "original");
const commit = commitOf("b");
let server: HubServer;
let files: Record<string, ServedFile>;
let environment: NodeJS.ProcessEnv;

beforeAll(async () => {
  environment = { ...process.env };
  await writeModelDirectory(original);
  const { architecture, parameters } = await readModel(original);
  const tensors = tensorsOf(
    layOut(architecture.family.parameters(architecture.config)),
    parameters,
  );
  const half = Math.ceil(tensors.length / 2);
  const shards = [tensors.slice(0, half), tensors.slice(half)];
  const shardName = (i: number) => `model-0000${i + 1}-of-00002.safetensors`;
  const index = {
    metadata: {},
    weight_map: Object.fromEntries(
      shards.flatMap((shard, i) => shard.map(({ name }) => [name, shardName(i)])),
    ),
  };
  const text = (content: string): ServedFile => ({ content: Buffer.from(content) });
  files = {
    ...Object.fromEntries(
      ["config.json", "tokenizer.json", "tokenizer_config.json"].map((name) => [
        name,
        { content: readFileSync(join(original, name)) },
      ]),
    ),
    ...Object.fromEntries(
      shards.map((shard, i) => [
        shardName(i),
        { content: Buffer.from(safetensorsBytes(shard)), lfs: true },
      ]),
    ),
    "model.safetensors.index.json": text(JSON.stringify(index)),
    "pytorch_model.bin": { content: Buffer.from("a pickle"), lfs: true },
    "modeling_custom.py": text("import os"),
    "onnx/model.onnx": { content: Buffer.from("onnx"), lfs: true },
  };
  server = await startHub([]);
  process.env["HF_ENDPOINT"] = server.endpoint;
  process.env["HF_HUB_CACHE"] = join(base, "cache");
});
beforeEach(() => {
  server.repositories.splice(0, Infinity, {
    kind: "model",
    name: "someone/bert",
    revisions: { main: commit },
    commits: { [commit]: files },
  });
});
afterEach(() => {
  server.seen.length = 0;
  rmSync(join(base, "cache"), { recursive: true, force: true });
});
afterAll(async () => {
  process.env = environment;
  await server.close();
  rmSync(base, { recursive: true, force: true });
});

const serve = (changes: Record<string, ServedFile | undefined>): void => {
  const changed = Object.entries({ ...files, ...changes }).filter(([, file]) => file !== undefined);
  server.repositories[0]!.commits[commit] = Object.fromEntries(changed) as typeof files;
};
const hub = () =>
  openHub(
    { endpoint: server.endpoint, cacheDirectory: join(base, "cache"), offline: false },
    { patience: { attempts: 1 } },
  );
const recipe = () =>
  smallRecipe(
    "name: tuned\nmodel: {name_or_path: someone/bert}\nsft: {dataset_args: chat, max_length: 16}\n",
    ["sft.dataset_args=npm:yaml/package.json"],
  );

let outputs = 0;
async function prepare(params: object): Promise<string> {
  const outputDirectory = join(base, `output-${outputs++}`);
  await run(stageContext({ kind: "prepare", params }, { outputDirectory }));
  return outputDirectory;
}
const model = { task: "model", name: "someone/bert", files: [], hub: { revision: "main", commit } };
const errorOf = (action: Promise<unknown>): Promise<string> =>
  action.then(
    () => "0",
    (error: unknown) => {
      if (!(error instanceof DllmError)) throw error;
      return `${error.exitCode} ${error.format().replaceAll(base, "<base>")}`;
    },
  );

test("a recipe's model is resolved to the commit of its branch, its tokenizer with it", async () => {
  const resolved = await resolveInputs(recipe(), { hub: hub() });
  const source = { name: "someone/bert", files: [], hub: { revision: "main", commit } };
  expect(resolved.pins.model).toEqual(source);
  expect(resolved.pins.tokenizer).toEqual(source);
  expect(resolved.commits).toEqual({ "model someone/bert": { revision: "main", commit } });
  const { stages } = planRun({
    loaded: recipe(),
    ...resolved,
    existing: () => undefined,
    previous: undefined,
  });
  expect(stages.find(({ id }) => id === "prepare-model")!.params).toMatchObject(model);
  // With the commit known, the hub is not asked.
  server.seen.length = 0;
  await resolveInputs(recipe(), { hub: hub(), known: resolved.commits });
  expect(server.seen).toEqual([]);
});

test("shards and all: the same weights, and neither code nor pickles", async () => {
  const output = await prepare(model);
  expect(readdirSync(output).sort()).toEqual([
    "config.json",
    "model-00001-of-00002.safetensors",
    "model-00002-of-00002.safetensors",
    "model.safetensors.index.json",
    "tokenizer.json",
    "tokenizer_config.json",
  ]);
  expect((await readModel(output)).parameters).toEqual((await readModel(original)).parameters);
  const asked = server.seen.map(({ path }) => path).join("\n");
  expect(asked).not.toMatch(/pytorch_model|modeling_custom|onnx/);
});

test("a tokenizer alone: no weights are downloaded", async () => {
  const output = await prepare({
    task: "tokenizer",
    tokenizer: { source: "files", name: model.name, files: [], hub: model.hub },
    chat_template: null,
  });
  expect(readFileSync(join(output, "tokenizer.json"))).toEqual(files["tokenizer.json"]!.content);
  expect(existsSync(join(output, "chat_template.jinja"))).toBe(true);
  expect(server.seen.some(({ path }) => path.includes("safetensors"))).toBe(false);
});

test.each<[string, Record<string, ServedFile | undefined>, RegExp]>([
  [
    "no configuration",
    { "config.json": undefined },
    /^66 recipes\/small\.yaml:2:23: model someone\/bert has no config\.json\n/,
  ],
  ["no tokenizer", { "tokenizer.json": undefined }, /^66 .*has no tokenizer\.json\n/],
  [
    "pickles only",
    {
      "model-00001-of-00002.safetensors": undefined,
      "model-00002-of-00002.safetensors": undefined,
      "model.safetensors.index.json": undefined,
    },
    /^66 .*has no weights in safetensors format\n[^]*found on the hub at b{40}: [^]*pytorch_model\.bin/,
  ],
])("resolving: %s", async (_, changes, says) => {
  serve(changes);
  expect(await errorOf(resolveInputs(recipe(), { hub: hub() }))).toMatch(says);
});

test("resolving: a repository that is not there", async () => {
  server.repositories.length = 0;
  expect(await errorOf(resolveInputs(recipe(), { hub: hub() }))).toMatch(/^66 .*someone\/bert/);
});

const json = (value: object): ServedFile => ({ content: Buffer.from(JSON.stringify(value)) });
test.each<[string, Record<string, ServedFile | undefined>, RegExp]>([
  [
    "a shard that the index names is missing",
    { "model-00002-of-00002.safetensors": undefined },
    /^66 .*model-00002-of-00002\.safetensors/,
  ],
  [
    "I8: the index leads out of the directory",
    { "model.safetensors.index.json": json({ weight_map: { a: "../../secret.safetensors" } }) },
    /^65 .*model\.safetensors\.index\.json/,
  ],
  [
    "a shard that is no safetensors file",
    { "model-00002-of-00002.safetensors": { content: Buffer.from("x".repeat(100)), lfs: true } },
    /^65 .*model-00002-of-00002\.safetensors/,
  ],
])("bringing: %s", async (_, changes, says) => {
  serve(changes);
  expect(await errorOf(prepare(model))).toMatch(says);
});

test("bringing: content of the right size that is not what the hub announced", async () => {
  server.faults.push(({ host, path }, response) => {
    if (host !== "storage") return false;
    const { content } = Object.values(files).find((file) => path.includes(digest(file)))!;
    response.writeHead(200, { "Content-Length": content.length }).end(Buffer.alloc(content.length));
    return true;
  });
  try {
    expect(await errorOf(prepare(model))).toMatch(/^65 .*sha256/s);
  } finally {
    server.faults.length = 0;
  }
});
