/** @file The prepare stage on small real sources: outputs, statistics, errors. */
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import type { Json, JsonObject } from "../../src/base/json.js";
import { pinFiles, pinSource } from "../../src/data/sources.js";
import { openTokenDataset, readDatasetInfo } from "../../src/data/token-dataset.js";
import { loadTokenizer } from "../../src/data/tokenizer.js";
import type { PrepareParams, SourceParams } from "../../src/plan/params.js";
import { StageStopped, type Progress, type StageContext } from "../../src/plan/stage.js";
import { openCheckpoints } from "../../src/stages/checkpoints.js";
import { run } from "../../src/stages/prepare.js";

const base = mkdtempSync(join(tmpdir(), "dllm-prepare-"));
afterAll(() => rmSync(base, { recursive: true, force: true }));

const chat = (question: string, answer: string, extra: object = {}): string =>
  JSON.stringify({
    messages: [
      { role: "user", content: question },
      { role: "assistant", content: answer },
    ],
    ...extra,
  }) + "\n";

writeFileSync(
  join(base, "book.txt"),
  Array.from({ length: 60 }, (_, i) => `Paragraph ${i} of a short book.\nIt goes on.`).join("\n\n"),
);
mkdirSync(join(base, "chat"));
writeFileSync(
  join(base, "chat/train.jsonl"),
  chat("one", "two", { skill: "count" }) +
    chat("long ".repeat(40), "dropped") +
    chat("three", "four ".repeat(30)),
);
writeFileSync(join(base, "chat/test.jsonl"), chat("five", "six", { skill: "count" }));

const locations: Record<string, string> = {};
async function source(name: string, options: Record<string, number> = {}): Promise<SourceParams> {
  const { location, files } = await pinSource({ name, options }, { baseDirectory: base });
  locations[name] = location;
  return { name, options, files };
}

let outputs = 0;
async function prepare(
  params: PrepareParams,
  { tokenizer, stop = false }: { tokenizer?: string; stop?: boolean } = {},
): Promise<{ directory: string; figures: JsonObject; progress: Progress[] }> {
  const directory = join(base, `output-${outputs++}`);
  mkdirSync(directory);
  const progress: Progress[] = [];
  const unused = (): never => {
    throw new Error("prepare records no metrics");
  };
  const context: StageContext = {
    job: {
      schema: 1,
      id: "prepare",
      kind: "prepare",
      fingerprint: "f",
      attempt: 1,
      params: params as unknown as Record<string, Json>,
      hardware: { engine: "onnx", launcher: "local", device: "cpu", threads: 1 },
      locations,
      inputs: {},
    },
    input: (name) => {
      if (name !== "tokenizer" || tokenizer === undefined) throw new Error(`no input ${name}`);
      return tokenizer;
    },
    outputDirectory: directory,
    checkpoints: openCheckpoints(join(base, `checkpoints-${outputs}`), {
      elapsedSeconds: () => 0,
      report: () => undefined,
    }),
    metric: unused,
    progress: (report) => progress.push(report),
    log: () => undefined,
    stop: { requested: stop },
  };
  return { figures: await run(context), directory, progress };
}

const trainTokenizer = async (chatTemplate: string | null = null) =>
  prepare({
    task: "tokenizer",
    tokenizer: {
      source: "train",
      vocab_size: 300,
      added_tokens: [],
      text: [await source("book.txt"), await source("chat")],
    },
    chat_template: chatTemplate,
  });
const textParams = async () => ({
  task: "text" as const,
  sources: [await source("book.txt")],
  text_field: "text",
  max_length: 16,
  insert_eos: true,
  drop_tail: true,
  test_fraction: 0.1,
  on_bad_row: "error" as const,
  max_bad_row_ratio: 0.01,
  seed: 42,
});
const chatParams = async () => ({
  task: "chat" as const,
  sources: [await source("chat")],
  max_length: 48,
  truncation: "right" as const,
  mask_prompt_loss: true,
  test_fraction: 0.5,
  on_bad_row: "error" as const,
  max_bad_row_ratio: 0.01,
  seed: 42,
});

test("a trained tokenizer, again with equal bytes, with the chat markers learned", async () => {
  const { directory, figures } = await trainTokenizer();
  expect(figures).toEqual({ vocab_size: 300 });
  const tokenizer = await loadTokenizer(directory);
  expect(tokenizer).toMatchObject({ vocabSize: 300, maskId: 299, padId: 298, eosId: 298 });
  expect(tokenizer.encode("[Question]").length).toBeLessThan("[Question]".length);
  const again = (await trainTokenizer()).directory;
  for (const file of [
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "chat_template.jinja",
  ]) {
    expect(readFileSync(join(again, file))).toEqual(readFileSync(join(directory, file)));
  }
});

test("a tokenizer that is brought: the same ids, its special tokens named, a template of choice", async () => {
  const trained = await trainTokenizer();
  const bare = join(base, "bare");
  mkdirSync(bare);
  const json = readFileSync(join(trained.directory, "tokenizer.json"));
  writeFileSync(join(bare, "tokenizer.json"), json);
  locations["bare"] = bare;
  const tokenizer = {
    source: "files" as const,
    name: "bare",
    files: await pinFiles(bare, ["tokenizer.json"]),
  };
  const template = "{{ messages[0].content }}";
  const { directory } = await prepare({ task: "tokenizer", tokenizer, chat_template: template });
  expect(readFileSync(join(directory, "tokenizer.json"))).toEqual(json);
  expect((await loadTokenizer(directory)).renderChat([{ role: "user", content: "x" }])).toBe("x");
  const config = JSON.parse(
    readFileSync(join(directory, "tokenizer_config.json"), "utf8"),
  ) as JsonObject;
  expect(config).toMatchObject({ eos_token: "[PAD]", bos_token: "[PAD]", mask_token: "[MASK]" });
  await expect(
    prepare({ task: "tokenizer", tokenizer, chat_template: "{% for" }),
  ).rejects.toMatchObject({ exitCode: 65 });

  writeFileSync(join(bare, "tokenizer.json"), `${json.toString()} `);
  await expect(prepare({ task: "tokenizer", tokenizer, chat_template: null })).rejects.toThrow(
    `${join(bare, "tokenizer.json")}: changed since the run was planned`,
  );
});

test("text: full chunks in both splits, statistics, progress", async () => {
  const tokenizer = (await trainTokenizer()).directory;
  const { directory, figures, progress } = await prepare(await textParams(), { tokenizer });
  const info = await readDatasetInfo(directory);
  expect(info).toMatchObject({ task: "text", padding: "masked", max_length: 16, pad_id: 298 });
  expect(info.splits["test"]).toMatchObject({ source_rows: 6 });
  expect(info.splits["train"]).toMatchObject({ source_rows: 54, trained_share: 1, longest: 16 });
  const train = await openTokenDataset(directory, "train");
  expect(train.rows).toBeGreaterThan(40);
  expect(new Set(train.lengths)).toEqual(new Set([16]));
  expect(figures).toMatchObject({ train_rows: train.rows, train_tokens: train.rows * 16 });
  expect(progress.at(-1)).toEqual({ done: 60, total: 60, unit: "row" });
});

test("chat: rows kept, dropped and truncated; surviving rows beside their tokens", async () => {
  const tokenizer = (await trainTokenizer()).directory;
  const { directory, figures } = await prepare(await chatParams(), { tokenizer });
  expect(figures).toMatchObject({
    train_source_rows: 3,
    train_rows: 2,
    train_dropped: 1,
    train_truncated: 1,
    train_longest: 48,
    test_rows: 1,
    train_prompt_not_prefix: 0,
  });
  const loaded = await loadTokenizer(tokenizer);
  const train = await openTokenDataset(directory, "train");
  const ids = Array.from(train.ids(0));
  expect(train.padding).toBe("trainable");
  expect(loaded.decode(ids.slice(0, train.promptLength(0)))).toBe(
    "[Question]\none\n[/Question]\n\n[Answer]\n",
  );
  expect(loaded.decode(ids.slice(train.promptLength(0)))).toBe("two\n[/Answer]\n\n");
  const lines = readFileSync(join(directory, "test.jsonl"), "utf8").trimEnd().split("\n");
  expect(lines.map((line) => (JSON.parse(line) as { skill?: string }).skill)).toEqual(["count"]);
  expect(existsSync(join(directory, "train.jsonl"))).toBe(false); // nothing reads it
  const filtered = await prepare({ ...(await chatParams()), truncation: "filter" }, { tokenizer });
  expect(filtered.figures).toMatchObject({ train_rows: 1, train_dropped: 2, train_truncated: 0 });
});

test("a model that is brought is copied, checked while read", async () => {
  const model = join(base, "model");
  mkdirSync(model);
  writeFileSync(join(model, "config.json"), "{}");
  const dataBytes = 3 << 20;
  const tensor = { dtype: "F32", shape: [dataBytes / 4], data_offsets: [0, dataBytes] };
  const header = Buffer.from(JSON.stringify({ weight: tensor }));
  const headerBytes = Buffer.alloc(8);
  headerBytes.writeBigUInt64LE(BigInt(header.length));
  const weights = Buffer.concat([headerBytes, header, Buffer.alloc(dataBytes, 7)]);
  writeFileSync(join(model, "model.safetensors"), weights);
  const files = await pinFiles(model, ["config.json", "model.safetensors"]);
  locations["model"] = model;
  const { directory, figures } = await prepare({ task: "model", name: "model", files });
  expect(figures).toEqual({ bytes: weights.length + 2 });
  expect(await pinFiles(directory, ["config.json", "model.safetensors"])).toEqual(files);
});

test("errors name the place; a stop request stops", async () => {
  const tokenizer = (await trainTokenizer()).directory;
  await expect(
    prepare({ ...(await chatParams()), sources: [await source("book.txt")] }, { tokenizer }),
  ).rejects.toThrow(/\/book\.txt:\d+: plain text, not conversations$/);
  await expect(
    prepare({ ...(await textParams()), sources: [await source("chat")] }, { tokenizer }),
  ).rejects.toThrow(`${join(base, "chat/train.jsonl")}:1: no text in field "text"`);
  await expect(prepare({ ...(await chatParams()), max_length: 2 }, { tokenizer })).rejects.toThrow(
    "no row is left to train on",
  );
  const stopped = prepare(await textParams(), { tokenizer, stop: true });
  await expect(stopped).rejects.toBeInstanceOf(StageStopped);
  expect(existsSync(join(base, `output-${outputs - 1}`, "dataset.json"))).toBe(false);
});
