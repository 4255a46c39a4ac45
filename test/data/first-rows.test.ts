/** @file The first rows of large files on the hub: the rows of the whole file, for a part of its bytes. */
import { randomBytes } from "node:crypto";
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { parquetWriteBuffer } from "hyparquet-writer";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { runCli } from "../../src/cli.js";
import { firstRows } from "../../src/data/first-rows.js";
import { downloadFile } from "../../src/hub/download.js";
import { openHub } from "../../src/hub/hub.js";
import { fetchRange } from "../../src/hub/range.js";
import { listFiles } from "../../src/hub/repository.js";
import type { Preview } from "../../src/report/preview-view.js";
import {
  commitOf,
  sendFile,
  startHub,
  type HubServer,
  type ServedFile,
} from "../support/hub-server.js";
import { fakeIo } from "../support/recipes.js";

const base = mkdtempSync(join(tmpdir(), "dllm-first-rows-"));
const commit = commitOf("a");
const repository = { kind: "dataset" as const, name: "someone/large", commit };
const ROWS = 5000;
const noise = randomBytes(ROWS * 4000).toString("hex");
const text = (i: number): string => `row ${i} ${noise.slice(i * 8000, i * 8000 + 8000)}`;
const texts = Array.from({ length: ROWS }, (_, i) => text(i));
const jsonl = Buffer.from(texts.map((each) => `${JSON.stringify({ text: each })}\n`).join(""));
const parquet = (rows: readonly string[], rowGroupSize: number): Buffer =>
  Buffer.from(
    parquetWriteBuffer({ columnData: [{ name: "text", data: [...rows] }], rowGroupSize }),
  );
const files: Record<string, ServedFile> = {
  "lines.jsonl": { content: jsonl, lfs: true },
  "lines.jsonl.gz": { content: gzipSync(jsonl, { level: 1 }), lfs: true },
  "groups.parquet": { content: parquet(texts, 100), lfs: true },
  "one-group.parquet": { content: parquet(texts, ROWS), lfs: true },
  "latin.jsonl": { content: Buffer.concat([Buffer.from([0xe9, 0x0a]), jsonl]), lfs: true },
  "small.jsonl": { content: jsonl.subarray(0, 1 << 20), lfs: true },
  "table.csv": { content: jsonl, lfs: true },
};

let server: HubServer;
beforeAll(async () => {
  const commits = { [commit]: files };
  const alone = { [commit]: { "train.jsonl": files["lines.jsonl"]! } };
  const revisions = { main: commit };
  server = await startHub([
    { kind: "dataset", name: repository.name, revisions, commits },
    { kind: "dataset", name: "someone/alone", revisions, commits: alone },
  ]);
});
afterEach(() => {
  server.seen.length = 0;
  server.faults.length = 0;
});
afterAll(async () => {
  await server.close();
  rmSync(base, { recursive: true, force: true });
});

const cacheDirectory = join(base, "cache");
const hub = () =>
  openHub({ endpoint: server.endpoint, cacheDirectory, offline: false, token: "hf_canary" });
const fileOf = async (path: string) =>
  (await listFiles(hub(), repository)).find((file) => file.path === path)!;
const read = async (path: string, rows = 20) =>
  firstRows(hub(), { repository, file: await fileOf(path), rows });
/** Bytes that the storage host was asked for. */
const asked = (): number =>
  server.seen
    .filter(({ host }) => host === "storage")
    .map(({ headers }) => /^bytes=(\d+)-(\d+)$/.exec(headers.range ?? ""))
    .reduce(
      (sum, range) => sum + (range === null ? Infinity : Number(range[2]) - Number(range[1]) + 1),
      0,
    );

test.each([
  ["lines.jsonl", ":1"],
  ["lines.jsonl.gz", ":1"],
  ["groups.parquet", "[0]"],
])("%s: its first rows, for a tenth of its bytes", async (path, where) => {
  const rows = await read(path);
  expect(rows!.map(({ value }) => value)).toEqual(
    texts.slice(0, 20).map((each) => ({ text: each })),
  );
  expect(rows![0]!.where).toBe(`${path}${where}`);
  expect(asked()).toBeLessThan(files[path]!.content.length / 10);
  // As for a download: the token is the hub's alone, and nothing gets into the cache.
  for (const { host, headers } of server.seen) {
    if (host === "storage") expect(headers.authorization).toBeUndefined();
  }
  expect(existsSync(join(cacheDirectory, "datasets--someone--large", "blobs"))).toBe(false);
});

test("more rows than the first piece has", async () => {
  const rows = await read("lines.jsonl", 400);
  expect(rows!.map(({ value }) => value)).toEqual(
    texts.slice(0, 400).map((each) => ({ text: each })),
  );
  expect((await read("groups.parquet", 250))!.length).toBe(250);
});

test.each([
  ["a row group that is most of the file", "one-group.parquet"],
  ["bytes that are not UTF-8", "latin.jsonl"],
  ["a small file", "small.jsonl"],
  ["another format", "table.csv"],
])("%s: left to reading the whole file", async (_, path) => {
  expect(await read(path)).toBeUndefined();
});

test("all rows, or more: left to reading the whole file", async () => {
  expect(await read("groups.parquet", ROWS)).toBeUndefined();
  expect(await read("lines.jsonl", ROWS)).toBeUndefined();
});

test("a host without ranges, another range, another version: nothing is taken", async () => {
  const file = await fileOf("lines.jsonl");
  const range = { start: 10, end: 30 };
  const answers: [string, (response: Parameters<(typeof server.faults)[0]>[1]) => void][] = [
    [
      "storage",
      (response) =>
        sendFile(files["lines.jsonl"]!, { path: "", headers: {}, host: "storage" }, response),
    ],
    [
      "storage",
      (response) =>
        response
          .writeHead(206, { "content-range": `bytes 0-19/${file.bytes}` })
          .end("x".repeat(20)),
    ],
    [
      "hub",
      (response) =>
        response
          .writeHead(206, {
            "content-range": `bytes 10-29/${file.bytes}`,
            etag: `"${"0".repeat(64)}"`,
          })
          .end("x".repeat(20)),
    ],
  ];
  for (const [at, answer] of answers) {
    server.faults.splice(0, 1, ({ host, path }, response) => {
      if (host !== at || path.includes("/api/")) return false;
      answer(response);
      return true;
    });
    expect(await fetchRange(hub(), repository, file, range)).toBeUndefined();
  }
  server.faults.length = 0;
  expect(await fetchRange(hub(), repository, file, range)).toEqual(jsonl.subarray(10, 30));
});

test("`dllm preview` of a dataset on the hub: its first rows alone; from the cache where it is there", async () => {
  writeFileSync(join(base, "text.txt"), "some words to learn from\n");
  writeFileSync(
    join(base, "r.yaml"),
    `name: large
model: {config: {hidden_size: 64, num_attention_heads: 4}}
tokenizer: {train: {vocab_size: 300, dataset_args: text.txt}}
pretrain: {dataset_args: someone/alone, max_length: 16, max_steps: 2}
`,
  );
  process.env["HF_ENDPOINT"] = server.endpoint;
  process.env["HF_HUB_CACHE"] = cacheDirectory;
  const preview = async (): Promise<Preview["stages"][0]> => {
    const io = fakeIo();
    const args = ["preview", join(base, "r.yaml"), "--json", "--sample", "30", "--rows", "1"];
    expect(await runCli(args, io)).toBe(0);
    return (JSON.parse(io.stdout()) as Preview).stages[0]!;
  };
  try {
    const fresh = await preview();
    expect(fresh.sources[0]).toMatchObject({ sampledRows: 30, isWhole: false });
    expect(asked()).toBeLessThan(jsonl.length / 10);
    const blobs = join(cacheDirectory, "datasets--someone--alone", "blobs");
    expect(existsSync(blobs) ? readdirSync(blobs) : []).toEqual([]);
    const pinned = { ...repository, name: "someone/alone" };
    const [file] = await listFiles(hub(), pinned);
    await downloadFile(hub(), pinned, file!);
    server.seen.length = 0;
    expect(await preview()).toEqual(fresh);
    expect(asked()).toBe(0);
  } finally {
    delete process.env["HF_ENDPOINT"];
    delete process.env["HF_HUB_CACHE"];
  }
}, 60_000);
