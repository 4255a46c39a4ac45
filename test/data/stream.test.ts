/** @file Streams of chunks: what they give, in which order, and that they go on exactly. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parquetWriteBuffer } from "hyparquet-writer";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { DllmError } from "../../src/base/errors.js";
import { fileRows } from "../../src/data/formats/file-rows.js";
import { pinSource } from "../../src/data/sources.js";
import { chunkStream, type ChunkStream } from "../../src/data/stream/chunk-stream.js";
import { openStream } from "../../src/data/stream/open-stream.js";
import { openStreamSources } from "../../src/data/stream/stream-rows.js";
import type { StreamSpec } from "../../src/data/stream/stream-spec.js";
import { readStream, writeStream } from "../../src/data/stream/stream-state.js";
import { loadTokenizer, type Tokenizer } from "../../src/data/tokenizer.js";
import { bundle } from "../support/bundle.js";
import { writeByteTokenizer } from "../support/model-directory.js";
import { streamSpec } from "../support/stream-spec.js";

const base = mkdtempSync(join(tmpdir(), "dllm-stream-"));
afterAll(() => rmSync(base, { recursive: true, force: true }));
let tokenizer: Tokenizer;
const tokenizerDirectory = join(base, "tokenizer");

/** Each text is one chunk of four: three digits and the end. */
const name = (i: number): string => String(i).padStart(3, "0");
const lines = (from: number, to: number): string =>
  Array.from({ length: to - from }, (_, i) => `{"text": "${name(from + i)}"}\n`).join("");

beforeAll(async () => {
  await writeByteTokenizer(tokenizerDirectory);
  tokenizer = await loadTokenizer(tokenizerDirectory);
  for (const folder of ["sharded", "tested"]) mkdirSync(join(base, folder));
  const put = (file: string, text: string) => writeFileSync(join(base, file), text);
  for (let shard = 0; shard < 4; shard++) {
    put(`sharded/train-0000${shard}-of-00004.jsonl`, lines(shard * 30, shard * 30 + 30));
  }
  put("tested/train.jsonl", lines(200, 220));
  put("tested/test.jsonl", lines(220, 225));
  put("small.jsonl", lines(300, 310));
  put("empty.jsonl", "");
  put("hollow.jsonl", '{"text": ""}\n');
  put("bad.jsonl", `${lines(400, 409)}{"text": 7}\n`);
});

const locations: Record<string, string> = {};
async function specOf(
  parts: readonly { name: string; options?: Record<string, number> }[],
  overrides: Partial<StreamSpec> = {},
): Promise<StreamSpec> {
  const sources = [];
  for (const { name: part, options = {} } of parts) {
    const { location, files } = await pinSource({ name: part, options }, { baseDirectory: base });
    locations[part] = location;
    sources.push({ name: part, options, files });
  }
  return streamSpec(sources, { max_length: 4, max_bad_row_ratio: 0.01, ...overrides });
}

const noHub = (): never => {
  throw new Error("nothing is on the hub");
};
const world = { locations, hub: noHub, scratch: join(base, "scratch") };
async function streamOf(
  spec: StreamSpec,
  from?: Parameters<typeof chunkStream>[2],
  bufferChunks = 10,
): Promise<ChunkStream> {
  const sources = await openStreamSources(spec, world);
  return chunkStream(sources, { spec, tokenizer, bufferChunks }, from);
}
const textOf = (chunk: Int32Array): string => tokenizer.decode([...chunk.subarray(0, 3)]);
async function take(stream: ChunkStream, count: number): Promise<string[]> {
  const taken: string[] = [];
  while (taken.length < count) taken.push(textOf(await stream.next()));
  return taken;
}
async function rowsOf(spec: StreamSpec, count: number): Promise<string[]> {
  const sources = await openStreamSources(spec, world);
  const rows: string[] = [];
  for await (const { row } of sources.rows()) {
    if (rows.push((row.value as { text: string }).text) === count) break;
  }
  return rows;
}
const errorOf = async (spec: StreamSpec): Promise<string> => {
  try {
    await take(await streamOf(spec), 1);
    return "none";
  } catch (error) {
    const { exitCode, message, details } = error as DllmError;
    return [exitCode, [message, ...details].join("\n").replaceAll(base, "<base>")].join(" ");
  }
};

test("rows: every pass all of them, each shard in order, the shards in another one each time", async () => {
  const rows = await rowsOf(await specOf([{ name: "sharded" }]), 360);
  const passes = [0, 1, 2].map((pass) => rows.slice(120 * pass, 120 * pass + 120));
  const all = Array.from({ length: 120 }, (_, i) => name(i));
  for (const pass of passes) expect([...pass].sort()).toEqual(all);
  const shardOrders = passes.map((pass) => [0, 30, 60, 90].map((at) => pass[at]));
  for (const order of shardOrders) expect([...order].sort()).toEqual(["000", "030", "060", "090"]);
  expect(new Set(shardOrders.map(String)).size).toBeGreaterThan(1);
});

test("rows of a dataset with limits: in order, and those held out are not among them", async () => {
  const limited = await specOf([{ name: "sharded", options: { test: 35, train: 50 } }]);
  const fifty = Array.from({ length: 50 }, (_, i) => name(35 + i));
  expect(await rowsOf(limited, 100)).toEqual([...fifty, ...fifty]);
  // Where there is a test split, the limit is one of it alone.
  const tested = await specOf([{ name: "tested", options: { test: 2 } }]);
  expect(new Set(await rowsOf(tested, 40))).toEqual(
    new Set(Array.from({ length: 20 }, (_, i) => name(200 + i))),
  );
});

test("chunks: shuffled within the buffer, the same again, others with another seed", async () => {
  const spec = await specOf([{ name: "sharded" }, { name: "small.jsonl" }]);
  const first = await take(await streamOf(spec), 300);
  expect(await take(await streamOf(spec), 300)).toEqual(first);
  expect(await take(await streamOf({ ...spec, seed: 43 }), 300)).not.toEqual(first);
  // What has come out or waits in the buffer is what has gone in, in the order of the rows.
  const stream = await streamOf(spec);
  const out = await take(stream, 300);
  const waiting = stream.state().buffer.map(textOf);
  expect([...out, ...waiting].sort()).toEqual((await rowsOf(spec, 310)).sort());
  expect(out.slice(0, 120)).not.toEqual((await rowsOf(spec, 310)).slice(0, 120));
});

test("from the state of any moment on: the same chunks, through the disk", async () => {
  const spec = await specOf([{ name: "sharded" }, { name: "small.jsonl" }]);
  const whole = await take(await streamOf(spec), 2600);
  for (const at of [0, 1, 9, 500, 989, 990, 991, 1000, 1990, 2400]) {
    const stream = await streamOf(spec);
    await take(stream, at);
    const directory = join(base, `state-${at}`);
    mkdirSync(directory);
    await writeStream(directory, { state: stream.state(), ahead: [], trained: at });
    const { state, trained } = await readStream(directory);
    expect(trained).toBe(at);
    expect(await take(await streamOf(spec, state), 200)).toEqual(whole.slice(at, at + 200));
  }
}, 30_000);

test("a thread gives the same, and its errors come back", async () => {
  const script = await bundle("src/data/stream/stream-worker.ts");
  const spec = await specOf([{ name: "small.jsonl" }]);
  const log = () => undefined;
  const job = { spec, locations, scratch: world.scratch, tokenizer: tokenizerDirectory };
  const threaded = await openStream(job, log, script);
  const here = await openStream(job, log, "none");
  expect(await threaded.take(5)).toEqual(await here.take(5));
  expect(await threaded.state()).toEqual(await here.state());
  expect(await threaded.take(3)).toEqual(await here.take(3));
  await threaded.close();
  const broken = { ...job, spec: await specOf([{ name: "empty.jsonl" }]) };
  const failing = await openStream(broken, log, script);
  await expect(failing.take(1)).rejects.toMatchObject({ exitCode: 65 });
  await failing.close();
});

test("what cannot be streamed is an error with its place", async () => {
  expect(await errorOf(await specOf([{ name: "empty.jsonl" }]))).toBe(
    "65 the datasets have no row to train on\nread: empty.jsonl",
  );
  const long = { max_length: 5000, insert_eos: false };
  expect(await errorOf(await specOf([{ name: "hollow.jsonl" }], long))).toMatch(
    /^65 \d+ rows of the stream do not make a single chunk of 5000\n/,
  );
  const bad = await specOf([{ name: "bad.jsonl" }]);
  expect(await errorOf(bad)).toContain('65 <base>/bad.jsonl:10: no text in field "text"');
  expect(await errorOf({ ...bad, on_bad_row: "skip" })).toContain(
    "65 100 of the first 1000 rows of the stream are bad",
  );
  const lenient = { ...bad, on_bad_row: "skip" as const, max_bad_row_ratio: 0.1 };
  expect(await errorOf(lenient)).toBe("none");
});

test("S15: a file that has changed since it was pinned is refused before a row of it is read", async () => {
  writeFileSync(join(base, "changing.jsonl"), lines(0, 9));
  const spec = await specOf([{ name: "changing.jsonl" }]);
  writeFileSync(join(base, "changing.jsonl"), lines(1, 10));
  expect(await errorOf(spec)).toMatch(/^65 <base>\/changing\.jsonl.*changed/);
});

test("rows of a parquet file from a number on, across its row groups", async () => {
  const path = join(base, "groups.parquet");
  const data = Array.from({ length: 25 }, (_, i) => name(i));
  const columnData = [{ name: "text", data }];
  writeFileSync(path, Buffer.from(parquetWriteBuffer({ columnData, rowGroupSize: 10 })));
  for (const from of [0, 9, 10, 17, 25]) {
    const found: string[] = [];
    for await (const { value } of fileRows(path, from))
      found.push((value as { text: string }).text);
    expect(found).toEqual(data.slice(from));
  }
});
