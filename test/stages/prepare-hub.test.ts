/** @file Sources on a hub, end to end: resolved, downloaded, mixed and tokenised by the stage. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parquetWriteBuffer } from "hyparquet-writer";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { bpeTokenizerFiles, trainBpe } from "../../src/data/bpe-trainer.js";
import { parseDatasetArgs } from "../../src/data/dataset-args.js";
import { resolveHubDataset } from "../../src/data/open-source.js";
import { readDatasetInfo } from "../../src/data/token-dataset.js";
import { injectFault } from "../../src/base/fault.js";
import { openHub } from "../../src/hub/hub.js";
import type { PrepareParams, SourceParams } from "../../src/plan/params.js";
import { run } from "../../src/stages/prepare.js";
import { commitOf, startHub, type HubServer, type ServedFile } from "../support/hub-server.js";
import { checkpointsIn, stageContext } from "../support/stage-context.js";
import { assetsDirectory, hasAssets } from "../support/assets.js";
import { thrownBy } from "../support/thrown-by.js";

const base = mkdtempSync(join(tmpdir(), "dllm-prepare-hub-"));
let server: HubServer;

type Row = Record<string, unknown>;
const jsonl = (rows: Row[]): ServedFile => ({
  content: Buffer.from(rows.map((row) => JSON.stringify(row) + "\n").join("")),
  lfs: true,
});
const parquet = (rows: Row[]): ServedFile => ({
  content: Buffer.from(
    parquetWriteBuffer({
      columnData: Object.keys(rows[0]!).map((name) => ({
        name,
        data: rows.map((row) => row[name]),
      })),
    }),
  ),
  lfs: true,
});
const messages = (name: string, n: number): Row[] =>
  Array.from({ length: n }, (_, i) => ({
    messages: [
      { role: "user", content: `${name} question ${i}` },
      { role: "assistant", content: `${name} answer ${i}` },
    ],
  }));
const alpaca = (n: number): Row[] =>
  Array.from({ length: n }, (_, i) => ({
    instruction: ` do ${i} `,
    input: i % 2 === 0 ? "" : `with ${i}`,
    output: ` done ${i}\n`,
  }));
const code = (n: number, language: string): Row[] =>
  Array.from({ length: n }, (_, i) => ({ instruction: ` write ${i}`, output: `${language} ${i}` }));

const readme = (configs: string): ServedFile => ({
  content: Buffer.from(`---\nconfigs:\n${configs}---\n# A dataset\n`),
});
const dataset = (name: string, files: Record<string, ServedFile>, digit = "a") => ({
  kind: "dataset" as const,
  name,
  revisions: { main: commitOf(digit) },
  commits: { [commitOf(digit)]: files },
});

beforeAll(async () => {
  server = await startHub([
    dataset("tatsu-lab/alpaca", {
      "data/train-00000-of-00001-a09b74b3ef9c3b56.parquet": parquet(alpaca(20)),
    }),
    dataset("allenai/tulu-3-sft-mixture", {
      "data/train-00000-of-00002.parquet": parquet(messages("tulu", 30)),
      "data/train-00001-of-00002.parquet": parquet(messages("tulu2", 30)),
    }),
    dataset("HuggingFaceTB/smoltalk", {
      "README.md": readme(
        ["all", "apigen-80k"]
          .map(
            (config) =>
              `- config_name: ${config}\n  data_files:\n  - split: train\n    path: data/${config}/train-*\n` +
              `  - split: test\n    path: data/${config}/test-*\n`,
          )
          .join(""),
      ),
      "data/all/train-00000-of-00001.parquet": parquet(messages("smol", 20)),
      "data/all/test-00000-of-00001.parquet": parquet(messages("smol test", 5)),
      "data/apigen-80k/train-00000-of-00001.parquet": parquet(messages("api", 7)),
      "data/apigen-80k/test-00000-of-00001.parquet": parquet(messages("api", 2)),
    }),
    dataset("HuggingFaceH4/ultrachat_200k", {
      "data/train_sft-00000-of-00001-aa.parquet": parquet(messages("sft", 12)),
      "data/test_sft-00000-of-00001-aa.parquet": parquet(messages("sft test", 4)),
      "data/train_gen-00000-of-00001-aa.parquet": parquet(messages("gen", 9)),
      "data/test_gen-00000-of-00001-aa.parquet": parquet(messages("gen", 9)),
    }),
    dataset("OpenCoder-LLM/opc-sft-stage2", {
      "educational_instruct/train-00000-of-00001.parquet": parquet(code(10, "python")),
      "mceval_instruct/train-00000-of-00001.parquet": parquet(code(6, "rust")),
    }),
    dataset("Salesforce/wikitext", {
      "wikitext-103-v1/train-00000-of-00001.parquet": parquet([
        { text: " = A = \n" },
        { text: "b" },
      ]),
      "wikitext-103-v1/test-00000-of-00001.parquet": parquet([{ text: "c" }]),
      "wikitext-103-v1/validation-00000-of-00001.parquet": parquet([{ text: "d" }]),
      "wikitext-2-v1/train-00000-of-00001.parquet": parquet([{ text: "e" }]),
    }),
    {
      ...dataset("dylanebert/openwebtext", {
        "openwebtext.py": { content: Buffer.from("import os") },
      }),
      revisions: { main: commitOf("a"), "refs/convert/parquet": commitOf("c") },
      commits: {
        [commitOf("a")]: { "openwebtext.py": { content: Buffer.from("import os") } },
        [commitOf("c")]: {
          "default/train/0000.parquet": parquet([{ text: "web" }, { text: "text" }]),
        },
      },
    },
    dataset("Trelis/tiny-shakespeare", {
      "train.csv": { content: Buffer.from('Text\n"First Citizen:\nSpeak."\n"All:\nSpeak!"\n') },
      "test.csv": { content: Buffer.from("Text\nhear me\n") },
    }),
    dataset("someone/sharegpt", {
      "data.jsonl": jsonl([
        {
          conversations: [
            { from: "human", value: "a" },
            { from: "gpt", value: "b" },
          ],
        },
      ]),
    }),
    dataset("someone/pairs", { "data.jsonl": jsonl([{ q: "a", a: "b" }]) }),
    dataset("someone/broken", { "data/train-00000-of-00002.parquet": parquet(messages("x", 1)) }),
    dataset("someone/page", {
      "train.parquet": { content: Buffer.from("<!DOCTYPE html><html></html>") },
    }),
    ...(hasAssets
      ? [
          dataset("real/math", {
            "gsm8k.parquet": {
              content: readFileSync(join(assetsDirectory, "parquet-samples/gsm8k.parquet")),
              lfs: true,
            },
          }),
        ]
      : []),
  ]);
  process.env.HF_ENDPOINT = server.endpoint;
  process.env.HF_HUB_CACHE = join(base, "cache");
  const trained = trainBpe(
    [JSON.stringify(messages("tulu smol sft", 50)), JSON.stringify(alpaca(50))],
    400,
  );
  mkdirSync(join(base, "tokenizer"));
  for (const [file, content] of Object.entries(bpeTokenizerFiles(trained))) {
    writeFileSync(join(base, "tokenizer", file), JSON.stringify(content));
  }
});
afterAll(async () => {
  await server.close();
  delete process.env.HF_ENDPOINT;
  delete process.env.HF_HUB_CACHE;
  rmSync(base, { recursive: true, force: true });
});
afterEach(() => injectFault(undefined));

const hub = () =>
  openHub({ endpoint: server.endpoint, cacheDirectory: join(base, "cache"), offline: false });

async function sourcesOf(text: string): Promise<SourceParams[]> {
  return Promise.all(
    parseDatasetArgs(text, ["|", "+"]).map(async (part) => {
      const { maxSamples, revision, ...rest } = part;
      const commit = await resolveHubDataset(hub(), part);
      return {
        ...rest,
        ...(maxSamples !== undefined && { max_samples: maxSamples }),
        files: [],
        hub: { revision: revision ?? "main", commit },
      };
    }),
  );
}

let outputs = 0;
async function prepare(
  datasets: string,
  overrides: Partial<Record<string, unknown>> = {},
): Promise<{ directory: string; figures: Record<string, unknown> }> {
  const directory = join(base, `output-${outputs++}`);
  const params = {
    task: "chat",
    sources: await sourcesOf(datasets),
    max_length: 128,
    truncation: "right",
    mask_prompt_loss: true,
    test_fraction: 0.1,
    on_bad_row: "error",
    max_bad_row_ratio: 0.01,
    seed: 42,
    ...overrides,
  } as unknown as PrepareParams;
  const context = stageContext(
    { kind: "prepare", params, inputs: { tokenizer: join(base, "tokenizer") } },
    {
      outputDirectory: directory,
      checkpoints: checkpointsIn(join(base, "checkpoints", String(outputs))),
    },
  );
  return { directory, figures: await run(context) };
}

const text = { task: "text", text_field: "text", max_length: 4, insert_eos: true, drop_tail: true };

async function errorOf(action: Promise<unknown>): Promise<string> {
  const error = await thrownBy(action);
  return `${error.exitCode} ${error.format()}`;
}

test.each([
  ["tatsu-lab/alpaca", { train_source_rows: 18, test_source_rows: 2 }],
  ["allenai/tulu-3-sft-mixture", { train_source_rows: 54, test_source_rows: 6 }],
  ["HuggingFaceTB/smoltalk", { train_source_rows: 20, test_source_rows: 5 }],
  ["HuggingFaceTB/smoltalk[name:apigen-80k]", { train_source_rows: 7, test_source_rows: 2 }],
  ["HuggingFaceH4/ultrachat_200k", { train_source_rows: 12, test_source_rows: 4 }],
  ["HuggingFaceH4/ultrachat_200k[split:train_gen]", { train_source_rows: 9, test_source_rows: 4 }],
  // All configurations, one after another; ceil(0.1 × 16) = 2 for test.
  ["OpenCoder-LLM/opc-sft-stage2", { train_source_rows: 14, test_source_rows: 2 }],
  ["OpenCoder-LLM/opc-sft-stage2[lang:rust]", { train_source_rows: 5, test_source_rows: 1 }],
  ["someone/sharegpt[train:1,test:0]", { train_source_rows: 1 }],
  ["someone/pairs[prompt:q,completion:a,train:1,test:0]", { train_source_rows: 1 }],
  [
    "allenai/tulu-3-sft-mixture | HuggingFaceTB/smoltalk",
    { train_source_rows: 74, test_source_rows: 11 },
  ],
  [
    "allenai/tulu-3-sft-mixture[train:10,test:2] + HuggingFaceTB/smoltalk[max_samples:3]",
    { train_source_rows: 13, test_source_rows: 5 },
  ],
])("chat: %s", async (datasets, figures) => {
  const overrides = datasets.startsWith("someone") ? { test_fraction: 0 } : {};
  const prepared = await prepare(datasets, overrides);
  expect(prepared.figures).toMatchObject(figures);
});

test("both editions' test fractions, and rows as the reference maps them", async () => {
  const rowsOf = (directory: string) =>
    readFileSync(join(directory, "test.jsonl"), "utf8")
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line) as Row);
  // numpy.random.default_rng(42).permutation(20) begins 15, 9 (the reference's own split).
  const february = await prepare("tatsu-lab/alpaca", { test_fraction: 0.05 });
  expect(february.figures).toMatchObject({ train_rows: 19, test_rows: 1 });
  expect(rowsOf(february.directory)).toEqual([alpaca(20)[15]]);
  const november = await prepare("tatsu-lab/alpaca", { test_fraction: 0.1 });
  expect(rowsOf(november.directory)).toEqual([alpaca(20)[15], alpaca(20)[9]]);
});

test.each([
  ["wikitext[name:wikitext-103-v1]", 2, 1],
  ["dylanebert/openwebtext", 2, undefined],
  ["Trelis/tiny-shakespeare", 2, 1],
])("text: %s", async (datasets, train, testRows) => {
  const { figures } = await prepare(datasets, { ...text, test_fraction: 0 });
  expect(figures["train_source_rows"]).toBe(train);
  expect(figures["test_source_rows"]).toBe(testRows);
});

test("interleaved by weight, the same each time; what each source gave", async () => {
  const mix = "allenai/tulu-3-sft-mixture[weight:3] + HuggingFaceTB/smoltalk[weight:1]";
  const { directory, figures } = await prepare(mix, { stopping_strategy: "all_exhausted" });
  const { sources } = await readDatasetInfo(directory);
  const given = Object.fromEntries(
    sources!.filter(({ split }) => split === "train").map(({ name, rows }) => [name, rows]),
  );
  const [tulu, smol] = [given["allenai/tulu-3-sft-mixture"]!, given["HuggingFaceTB/smoltalk"]!];
  expect(smol).toBeGreaterThanOrEqual(20);
  expect(tulu / smol).toBeGreaterThan(1.5);
  expect(figures["train_rows"]).toBe(tulu + smol);
  const again = await prepare(mix, { stopping_strategy: "all_exhausted" });
  const ids = (at: string) => readFileSync(join(at, "train.ids.bin"));
  expect(ids(again.directory).equals(ids(directory))).toBe(true);
  const first = await prepare(mix);
  expect(Number(first.figures["train_rows"])).toBeLessThan(tulu + smol);
  expect(await errorOf(prepare("tatsu-lab/alpaca[weight:1] + HuggingFaceTB/smoltalk"))).toContain(
    'dataset "HuggingFaceTB/smoltalk" has no weight',
  );
});

test("what is not there is said before anything is downloaded", async () => {
  expect(await errorOf(sourcesOf("Salesforce/wikitext"))).toBe(
    "65 dataset Salesforce/wikitext: it has several configurations\n" +
      "  found: wikitext-103-v1, wikitext-2-v1\n" +
      "  name one: Salesforce/wikitext[name:wikitext-103-v1]",
  );
  expect(await errorOf(sourcesOf("HuggingFaceTB/smoltalk[name:al]"))).toContain(
    'no configuration "al"',
  );
  expect(await errorOf(sourcesOf("tatsu-lab/alpaca[split:validation]"))).toBe(
    '65 dataset tatsu-lab/alpaca: no split "validation"\n' +
      "  found: train\n  name one: tatsu-lab/alpaca[split:train]",
  );
  expect(await errorOf(sourcesOf("someone/nothing"))).toContain(
    "66 dataset someone/nothing: not found",
  );
  expect(await errorOf(sourcesOf("someone/broken"))).toContain("found: 1 of 2 files data/train-*");
  expect(await errorOf(prepare("someone/page"))).toContain("of a web page (HTML)");
  expect(await errorOf(prepare("someone/pairs", { test_fraction: 0 }))).toMatch(
    /^65 .*data\.jsonl:1: no "messages" \(found: q, a\)/,
  );
});

test("S15: bad rows are left out where the recipe says so, up to a share", async () => {
  const rows = [...messages("good", 9), { messages: "none" }];
  server.repositories.push(dataset("someone/dirty", { "data.jsonl": jsonl(rows) }));
  const skip = { test_fraction: 0, on_bad_row: "skip" };
  const { figures } = await prepare("someone/dirty", { ...skip, max_bad_row_ratio: 0.2 });
  expect(figures).toMatchObject({ train_source_rows: 10, train_rows: 9, train_bad: 1 });
  expect(await errorOf(prepare("someone/dirty", skip))).toContain(
    '65 dataset "someone/dirty": 1 of 10 rows are bad\n  expected at most 1 % (max_bad_row_ratio)',
  );
  expect(await errorOf(prepare("someone/dirty", { test_fraction: 0 }))).toContain("data.jsonl:10");
});

test.skipIf(!hasAssets)("the real parquet sample of GSM8K, served by the hub", async () => {
  const { figures } = await prepare("real/math", { test_fraction: 0.05, max_length: 512 });
  expect(figures).toMatchObject({ train_source_rows: 7099, test_source_rows: 374 });
});
