/** @file dllm.lock and --frozen, against a hub whose branches move. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { runCli } from "../../src/cli.js";
import { commitOf, startHub, type HubServer } from "../support/hub-server.js";
import { fakeIo } from "../support/recipes.js";

let directory: string;
let recipe: string;
let server: HubServer;
let endpoint: string | undefined;

const rows = (words: string) => ({
  "train.jsonl": { content: Buffer.from(`{"text": "${words}"}\n`), lfs: true },
});

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), "dllm-lock-"));
  recipe = join(directory, "mine.yaml");
  writeFileSync(
    recipe,
    `name: mine
model: {config: {hidden_size: 32, num_hidden_layers: 1, num_attention_heads: 2}}
tokenizer: {train: {vocab_size: 300, dataset_args: someone/words}}
pretrain: {dataset_args: someone/words, max_steps: 2, max_length: 8}
`,
  );
  server = await startHub([
    {
      kind: "dataset",
      name: "someone/words",
      revisions: { main: commitOf("a") },
      commits: { [commitOf("a")]: rows("old"), [commitOf("b")]: rows("new") },
    },
  ]);
  endpoint = process.env["HF_ENDPOINT"];
  process.env["HF_ENDPOINT"] = server.endpoint;
});
afterEach(async () => {
  if (endpoint === undefined) delete process.env["HF_ENDPOINT"];
  else process.env["HF_ENDPOINT"] = endpoint;
  await server.close();
  rmSync(directory, { recursive: true });
});

async function dllm(...args: string[]) {
  const io = fakeIo();
  const code = await runCli(args, io);
  return { code, stdout: io.stdout(), stderr: io.stderr() };
}

const plan = (...more: string[]) =>
  dllm("plan", recipe, "--runs", join(directory, "runs"), ...more);

test("a lock holds the commit when the branch moves, and nothing asks for the branch", async () => {
  const lock = join(directory, "dllm.lock");
  expect(await plan("--frozen")).toEqual({
    code: 4,
    stdout: "",
    stderr: `error: ${lock} does not lock mine\n  lock it with: dllm lock ${recipe}\n`,
  });
  const locked = await dllm("lock", recipe);
  expect(locked).toMatchObject({ code: 0, stderr: "" });
  expect(locked.stdout).toMatch(/dllm\.lock locks mine: 1 source, \d+ defaults\n$/);
  const text = readFileSync(lock, "utf8");
  expect(JSON.parse(text)).toMatchObject({
    recipes: {
      mine: {
        sources: { "dataset someone/words": { revision: "main", commit: commitOf("a") } },
        defaults: { "pretrain.learning_rate": 1e-4 },
      },
    },
  });

  server.repositories[0]!.revisions["main"] = commitOf("b");
  server.seen.length = 0;
  const frozen = await plan("--frozen", "--json");
  expect(frozen.code).toBe(0);
  expect(frozen.stdout).toContain(commitOf("a"));
  expect(frozen.stdout).not.toContain(commitOf("b"));
  expect(server.seen).toEqual([]);

  const again = await dllm("lock", recipe);
  expect(again.stdout).toMatch(
    /^dataset someone\/words: main at a{12} -> main at b{12}\n.*dllm\.lock locks mine/,
  );
});

test("a default that is another, and a source that is new, are named", async () => {
  await dllm("lock", recipe);
  const lock = join(directory, "dllm.lock");
  writeFileSync(
    lock,
    readFileSync(lock, "utf8").replace(
      '"pretrain.learning_rate": 0.0001',
      '"pretrain.learning_rate": 0.5',
    ),
  );
  writeFileSync(
    recipe,
    readFileSync(recipe, "utf8").replace(
      "dataset_args: someone/words, max",
      "dataset_args: a/b, max",
    ),
  );
  expect(await plan("--frozen")).toEqual({
    code: 4,
    stdout: "",
    stderr: `error: mine is not what ${lock} says: 2 differences
  dataset a/b: its commit is not locked
  default of pretrain.learning_rate: 0.5 -> 0.0001
  to accept: dllm lock ${recipe}
`,
  });
});
