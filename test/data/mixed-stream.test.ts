/** @file Streams of weighted mixes: the prepared mix's order of sources, and exact positions. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { interleave, type StoppingRule } from "../../src/data/mix.js";
import { pinSource } from "../../src/data/sources.js";
import { chunkStream } from "../../src/data/stream/chunk-stream.js";
import { openStreamSources, type RowPosition } from "../../src/data/stream/stream-rows.js";
import type { StreamSpec } from "../../src/data/stream/stream-spec.js";
import { readStream, writeStream } from "../../src/data/stream/stream-state.js";
import { loadTokenizer } from "../../src/data/tokenizer.js";
import { writeByteTokenizer } from "../support/model-directory.js";
import { streamSpec } from "../support/stream-spec.js";

const base = mkdtempSync(join(tmpdir(), "dllm-mixed-stream-"));
afterAll(() => rmSync(base, { recursive: true, force: true }));

const sizes: Record<string, number> = { a: 60, b: 25, c: 1, none: 0 };
const rowsOf = (name: string): string[] =>
  Array.from({ length: sizes[name]! }, (_, i) => `${name}${100 + i}`);
const jsonl = (rows: readonly string[]): string =>
  rows.map((text) => `{"text": "${text}"}\n`).join("");

beforeAll(async () => {
  for (const name of Object.keys(sizes)) {
    writeFileSync(join(base, `${name}.jsonl`), jsonl(rowsOf(name)));
  }
  mkdirSync(join(base, "sharded"));
  for (let shard = 0; shard < 3; shard++) {
    const rows = Array.from({ length: 8 }, (_, i) => `s${shard}${10 + i}`);
    writeFileSync(join(base, `sharded/train-0000${shard}-of-00003.jsonl`), jsonl(rows));
  }
  await writeByteTokenizer(join(base, "tokenizer"));
});

interface Part {
  name: string;
  weight: number;
  options?: Record<string, number>;
  max_samples?: number;
}

const locations: Record<string, string> = {};
async function specOf(parts: readonly Part[], stopping: StoppingRule): Promise<StreamSpec> {
  const sources = [];
  for (const { options = {}, ...part } of parts) {
    const found = await pinSource({ ...part, options }, { baseDirectory: base });
    locations[part.name] = found.location;
    sources.push({ ...part, options, files: found.files });
  }
  return streamSpec(sources, { stopping_strategy: stopping });
}
const world = {
  locations,
  scratch: join(base, "scratch"),
  hub: (): never => {
    throw new Error("nothing is on the hub");
  },
};
interface Given {
  text: string;
  next: RowPosition;
}
async function read(spec: StreamSpec, count: number, from?: RowPosition): Promise<Given[]> {
  const sources = await openStreamSources(spec, world);
  const given: Given[] = [];
  for await (const { row, next } of sources.rows(from)) {
    given.push({ text: (row.value as { text: string }).text, next });
    if (given.length === count) break;
  }
  return given;
}
const texts = (given: readonly Given[]): string[] => given.map(({ text }) => text);
/** The prepared mix of the training rows of sources. */
const prepared = (
  sources: readonly { rows: string[]; weight: number }[],
  stopping: StoppingRule,
): string[] => interleave(sources, { stopping, seed: 42, split: 0 });

const rules = ["first_exhausted", "all_exhausted"] as const;
describe.each(rules)("%s", (stopping) => {
  test("the rows of the prepared mix, in its order; then another mix from the first rows on", async () => {
    const parts = [
      { name: "a.jsonl", weight: 3 },
      { name: "none.jsonl", weight: 9 },
      { name: "b.jsonl", weight: 0.7 },
    ];
    const mix = prepared(
      [
        { rows: rowsOf("a"), weight: 3 },
        { rows: [], weight: 9 },
        { rows: rowsOf("b"), weight: 0.7 },
      ],
      stopping,
    );
    expect(mix.length).toBeGreaterThan(60);
    const given = await read(await specOf(parts, stopping), 2 * mix.length);
    expect(texts(given).slice(0, mix.length)).toEqual(mix);
    const second = given.filter(({ next }) => next.pass === 1);
    const of = (name: string) => texts(second).filter((text) => text.startsWith(name));
    expect(of("a").slice(0, 20)).toEqual(rowsOf("a").slice(0, 20));
    const sources = (rows: readonly string[]) => rows.slice(0, 40).map((text) => text[0]);
    expect(sources(texts(second))).not.toEqual(sources(mix));
  });

  test("limits are those of the prepared mix, and a source of one row is a source", async () => {
    const parts: Part[] = [
      { name: "a.jsonl", weight: 1, options: { test: 5, train: 30 } },
      { name: "b.jsonl", weight: 1, max_samples: 10 },
      { name: "c.jsonl", weight: 0.05 },
    ];
    const mix = prepared(
      [
        { rows: rowsOf("a").slice(5, 35), weight: 1 },
        { rows: rowsOf("b").slice(0, 10), weight: 1 },
        { rows: rowsOf("c"), weight: 0.05 },
      ],
      stopping,
    );
    expect(texts(await read(await specOf(parts, stopping), mix.length))).toEqual(mix);
  });

  test("from each position on the same rows, as JSON keeps it", async () => {
    const parts = [
      { name: "sharded", weight: 2 },
      { name: "b.jsonl", weight: 1 },
      { name: "none.jsonl", weight: 1 },
      { name: "c.jsonl", weight: 0.2 },
    ];
    const spec = await specOf(parts, stopping);
    const whole = await read(spec, 200);
    expect(new Set(whole.map(({ next }) => next.pass)).size).toBeGreaterThan(1);
    for (let at = 0; at < 190; at++) {
      const from = JSON.parse(JSON.stringify(whole[at]!.next)) as RowPosition;
      expect(await read(spec, 9, from)).toEqual(whole.slice(at + 1, at + 10));
    }
  });
});

test("first_exhausted ends with the last row of a source, all_exhausted when each was seen", async () => {
  const parts = [
    { name: "a.jsonl", weight: 1 },
    { name: "b.jsonl", weight: 1 },
  ];
  const firstPass = async (stopping: StoppingRule): Promise<string[]> => {
    const given = await read(await specOf(parts, stopping), 500);
    return texts(given.filter(({ next }) => next.pass === 0));
  };
  const first = await firstPass("first_exhausted");
  expect(first.at(-1)).toBe(rowsOf("b").at(-1));
  expect(new Set(first).size).toBe(first.length);
  const all = await firstPass("all_exhausted");
  expect(new Set(all)).toEqual(new Set([...rowsOf("a"), ...rowsOf("b")]));
  expect(all.at(-1)).toBe(rowsOf("a").at(-1));
});

test("a shard order of its own each time that a source is begun", async () => {
  const spec = await specOf([{ name: "sharded", weight: 1 }], "first_exhausted");
  const given = texts(await read(spec, 24 * 4));
  const orders = [0, 1, 2, 3].map((pass) =>
    [0, 8, 16].map((at) => given[24 * pass + at]!.slice(0, 2)).join(" "),
  );
  for (const order of orders) expect(order.split(" ").sort()).toEqual(["s0", "s1", "s2"]);
  expect(new Set(orders).size).toBeGreaterThan(1);
});

test("chunks go on exactly from a checkpoint on disk", async () => {
  const spec = await specOf(
    [
      { name: "sharded", weight: 2 },
      { name: "b.jsonl", weight: 1 },
    ],
    "all_exhausted",
  );
  const tokenizer = await loadTokenizer(join(base, "tokenizer"));
  const open = async (from?: Parameters<typeof chunkStream>[2]) =>
    chunkStream(await openStreamSources(spec, world), { spec, tokenizer, bufferChunks: 10 }, from);
  const take = async (stream: Awaited<ReturnType<typeof open>>, count: number) => {
    const taken: Int32Array[] = [];
    while (taken.length < count) taken.push(await stream.next());
    return taken;
  };
  const whole = await take(await open(), 2600);
  for (const at of [0, 5, 985, 990, 1000, 2400]) {
    const stream = await open();
    await take(stream, at);
    const directory = join(base, `state-${at}`);
    mkdirSync(directory);
    await writeStream(directory, { state: stream.state(), ahead: [], trained: at });
    const { state } = await readStream(directory);
    expect(await take(await open(state), 200)).toEqual(whole.slice(at, at + 200));
  }
});

test("some weights only, or no row at all: 65", async () => {
  const spec = await specOf([{ name: "a.jsonl", weight: 1 }], "first_exhausted");
  const b = await pinSource({ name: "b.jsonl", options: {} }, { baseDirectory: base });
  const sources = [...spec.sources, { name: "b.jsonl", options: {}, files: b.files }];
  await expect(openStreamSources({ ...spec, sources }, world)).rejects.toMatchObject({
    exitCode: 65,
    message: 'dataset "b.jsonl" has no weight, and others of the mix have one',
  });
  const none = await specOf([{ name: "none.jsonl", weight: 1 }], "first_exhausted");
  await expect(read(none, 1)).rejects.toMatchObject({
    exitCode: 65,
    message: "the datasets have no row to train on",
  });
});
