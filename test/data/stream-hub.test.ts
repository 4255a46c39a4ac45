/** @file A stream of the hub on disk: what it holds at a time, uses of the cache, and leaves behind. */
import { spawn } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { removeLeftovers } from "../../src/base/quarantine.js";
import { streamHere, type StreamJob } from "../../src/data/stream/open-stream.js";
import { readStream, writeStream } from "../../src/data/stream/stream-state.js";
import { downloadFile } from "../../src/hub/download.js";
import { openHub } from "../../src/hub/hub.js";
import { listFiles } from "../../src/hub/repository.js";
import type { SourceParams } from "../../src/plan/params.js";
import { bundle } from "../support/bundle.js";
import { commitOf, sha256Of, startHub, type HubServer } from "../support/hub-server.js";
import { writeByteTokenizer } from "../support/model-directory.js";
import { thrownBy } from "../support/thrown-by.js";
import { streamSpec } from "../support/stream-spec.js";

const base = mkdtempSync(join(tmpdir(), "dllm-stream-hub-"));
const tokenizer = join(base, "tokenizer");
const commit = commitOf("a");
const SHARDS = 5;
const ROWS = 1000;
const shardName = (number: number): string => `train-0000${number}-of-0000${SHARDS}.jsonl`;
const shard = (number: number): Buffer =>
  Buffer.from(
    Array.from({ length: ROWS }, (_, i) => `{"text": "${number}${100 + (i % 900)}"}\n`).join(""),
  );
const repository = (name: string, shards: number) => ({
  kind: "dataset" as const,
  name,
  revisions: { main: commit },
  commits: {
    [commit]: Object.fromEntries(
      Array.from({ length: shards }, (_, i) => [
        shards === 1 ? "train.jsonl" : shardName(i),
        { content: shard(i), lfs: true },
      ]),
    ),
  },
});

let server: HubServer;
let environment: NodeJS.ProcessEnv;
let cache: string;
let working: string;
let runs = 0;

beforeAll(async () => {
  environment = { ...process.env };
  await writeByteTokenizer(tokenizer);
  server = await startHub([repository("someone/web", SHARDS), repository("someone/single", 1)]);
  process.env["HF_ENDPOINT"] = server.endpoint;
});
beforeEach(() => {
  cache = join(base, `cache-${runs}`);
  working = join(base, `working-${runs++}`);
  mkdirSync(working);
  process.env["HF_HUB_CACHE"] = cache;
});
afterEach(() => {
  server.seen.length = 0;
  server.faults.length = 0;
  delete process.env["HF_HUB_OFFLINE"];
});
afterAll(async () => {
  process.env = environment;
  await server.close();
  rmSync(base, { recursive: true, force: true });
});

const jobOf = (name = "someone/web", options: SourceParams["options"] = {}): StreamJob => ({
  spec: streamSpec([{ name, options, files: [], hub: { revision: "main", commit } }], { seed: 1 }),
  locations: {},
  // The name of what an interrupted writer leaves behind.
  scratch: join(working, `.tmp-${process.pid}-1`),
  tokenizer,
});
const open = (job: StreamJob) => streamHere(job, () => undefined);
/** Shards on disk, whole or on their way. */
const held = ({ scratch }: StreamJob): number =>
  existsSync(scratch) ? readdirSync(scratch).length : 0;
const downloads = (): number => server.seen.filter(({ host }) => host === "storage").length;
const blobs = (name = "someone--web"): string[] => {
  const folder = join(cache, `datasets--${name}`, "blobs");
  return existsSync(folder) ? readdirSync(folder) : [];
};
const hub = () => openHub({ endpoint: server.endpoint, cacheDirectory: cache, offline: false });
async function intoCache(numbers: readonly number[]): Promise<string[]> {
  const pinned = { kind: "dataset" as const, name: "someone/web", commit };
  const files = await listFiles(hub(), pinned);
  const names = numbers.map(shardName);
  const wanted = files.filter(({ path }) => names.includes(path));
  return Promise.all(wanted.map((file) => downloadFile(hub(), pinned, file)));
}
async function errorOf(action: Promise<unknown>): Promise<string> {
  const error = await thrownBy(action);
  return `${error.exitCode} ${error.format()}`;
}

test("never more than two shards are on disk, and none when it is closed; the cache stays empty", async () => {
  const job = jobOf();
  let most = 0;
  const look = () => (most = Math.max(most, held(job)));
  server.faults.push(() => {
    look();
    return false;
  });
  const stream = await open(job);
  for (let taken = 0; taken < 2 * SHARDS * ROWS; taken += 250) {
    await stream.take(250);
    look();
  }
  expect(most).toBe(2);
  // Two passes and the buffer.
  expect(downloads()).toBeGreaterThanOrEqual(2 * SHARDS);
  await stream.close();
  expect(held(job)).toBe(0);
  expect(blobs()).toEqual([]);
});

test("of a weighted mix two shards of each dataset", async () => {
  const job = jobOf();
  const [web] = job.spec.sources;
  const sources = [
    { ...web!, weight: 3 },
    { ...web!, name: "someone/single", weight: 1 },
  ];
  const stream = await open({ ...job, spec: { ...job.spec, sources } });
  let most = 0;
  for (let taken = 0; taken < 4 * ROWS; taken += 100) {
    await stream.take(100);
    most = Math.max(most, held(job));
  }
  // The second one has a single shard.
  expect(most).toBe(3);
  await stream.close();
  expect(held(job)).toBe(0);
});

test("a dataset of one shard is downloaded once, however often it is read", async () => {
  const stream = await open(jobOf("someone/single"));
  await stream.take(3 * ROWS);
  await stream.close();
  expect(downloads()).toBe(1);
});

test("shards of the cache are read there, and stay", async () => {
  const [path] = await intoCache([2]);
  const stamp = () => [statSync(path!).ino, statSync(path!).mtimeMs];
  const before = stamp();
  const own = blobs();
  server.seen.length = 0;
  const stream = await open(jobOf());
  await stream.take(SHARDS * ROWS);
  await stream.close();
  const fetched = server.seen.map(({ path }) => path).join("\n");
  expect(fetched).toContain(sha256Of(shard(1)));
  expect(fetched).not.toContain(sha256Of(shard(2)));
  expect(blobs()).toEqual(own);
  expect(stamp()).toEqual(before);
});

test("offline: from the cache alone, or 69 naming what is missing", async () => {
  const everything = Array.from({ length: SHARDS }, (_, i) => i);
  await intoCache(everything);
  process.env["HF_HUB_OFFLINE"] = "1";
  server.seen.length = 0;
  const stream = await open(jobOf());
  await stream.take(SHARDS * ROWS);
  await stream.close();
  expect(server.seen).toEqual([]);
  rmSync(join(cache, "datasets--someone--web", "blobs", sha256Of(shard(3))));
  const without = await open(jobOf());
  const says = await errorOf(without.take(SHARDS * ROWS));
  expect(says).toContain(`69 dataset someone/web: ${shardName(3)}: not in the cache`);
  expect(says).toContain(`looked in ${cache}`);
  await without.close();
});

test("a damaged shard of the cache is not read: it is downloaded, and left for whoever owns it", async () => {
  const [path] = await intoCache([0]);
  truncateSync(path!, 10);
  const stream = await open(jobOf());
  await stream.take(SHARDS * ROWS);
  await stream.close();
  expect(readFileSync(path!).length).toBe(10);
});

test("resumed after each shard is gone: the same chunks", async () => {
  const whole = await open(jobOf());
  const expected = await whole.take(6000);
  await whole.close();
  for (const at of [1, 700, 2500]) {
    const first = await open(jobOf());
    await first.take(at);
    const from = await first.state();
    await first.close();
    expect(held(jobOf())).toBe(0);
    const second = await open({ ...jobOf(), from });
    expect(await second.take(3000)).toEqual(expected.slice(at, at + 3000));
    await second.close();
  }
});

test("killed in the middle of a shard: the next start removes what is left, and goes on exactly", async () => {
  const script = await bundle("test/data/stream-once.ts");
  const job = jobOf();
  const first = await open(job);
  await first.take(700);
  const checkpoint = join(working, "checkpoint");
  mkdirSync(checkpoint);
  await writeStream(checkpoint, { state: await first.state(), ahead: [], trained: 700 });
  const expected = await first.take(2500);
  await first.close();
  const child = spawn(process.execPath, [script, JSON.stringify([job, checkpoint, 2500])], {
    env: { ...process.env, DLLM_FAULT: "write@incomplete:3:kill" },
    stdio: ["ignore", "inherit", "inherit"],
  });
  const signal = await new Promise((resolve) => child.once("exit", (_, by) => resolve(by)));
  expect(signal).toBe("SIGKILL");
  expect(held(job)).toBeGreaterThan(0);
  await removeLeftovers(working);
  expect(readdirSync(working)).toEqual(["checkpoint"]);
  expect(blobs()).toEqual([]);
  const { state: from } = await readStream(checkpoint);
  const resumed = await open({ ...job, from });
  expect(await resumed.take(2500)).toEqual(expected);
  await resumed.close();
});

test("a shard that the hub sends with other content than was pinned: 65 with both digests", async () => {
  server.faults.push(({ host }, response) => {
    if (host !== "storage") return false;
    response.writeHead(200, { "content-length": shard(0).length });
    response.end(Buffer.alloc(shard(0).length, "x"));
    return true;
  });
  const job = jobOf();
  const stream = await open(job);
  const says = await errorOf(stream.take(1));
  expect(says).toMatch(
    /^65 dataset someone\/web: train-0000\d-of-00005\.jsonl: the hub sends other/,
  );
  expect(says).toMatch(/found: .*sha256 [0-9a-f]{64}\n.*expected: .*sha256 [0-9a-f]{64}/);
  await stream.close();
  expect(held(job)).toBe(0);
});
