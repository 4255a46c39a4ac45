/**
 * @file `npm run bench [-- --against torch] [--only NAME,…] [--threads N]`: measures each work and prints
 * one JSON line per measurement, then a table. Against the peer, the sides take turns in one run
 * (A B A B), so that a machine that is slower for a while is slower for all; a ratio is the median of
 * the ratios of the turns. With `--peer-keeps-memory` the peer's allocator keeps what it frees, which
 * glibc's gives back: on machines with slow page faults that makes PyTorch faster, at more memory.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { batchesForPeer } from "./batches.js";
import { flopsOf, shapeOf, works } from "./configs.js";
import { findPython } from "./python.js";
import { median, pairedRatio, round, summarise } from "./statistics.js";
import { printTable } from "./table.js";
import { startWorker } from "./worker.js";
import { writeRandomModel } from "./write-model.js";

const here = dirname(fileURLToPath(import.meta.url));
const GEMM_SIZE = 1024;

const { values: options } = parseArgs({
  options: {
    against: { type: "string" },
    only: { type: "string", default: Object.keys(works).join() },
    threads: { type: "string", default: "2" },
    "peer-keeps-memory": { type: "boolean", default: false },
  },
});
const threads = Number(options.threads);
/** Tunables of glibc: no memory of its own for a large block, and none given back. */
const keepMemory = {
  MALLOC_MMAP_THRESHOLD_: String(2 ** 33),
  MALLOC_TRIM_THRESHOLD_: String(2 ** 33),
};
const print = (line) => console.log(JSON.stringify(line));

const unknown = options.only.split(",").filter((name) => !(name in works));
if (unknown.length > 0 || ![undefined, "torch"].includes(options.against)) {
  console.error(
    unknown.length > 0
      ? `bench: no work is named ${unknown.join(", ")}; there are ${Object.keys(works).join(", ")}`
      : `bench: cannot measure against "${options.against}", expected "torch"`,
  );
  process.exit(2);
}

let peer;
if (options.against === "torch") {
  peer = findPython();
  if (peer.reason) print({ skipped: "torch", reason: peer.reason });
  else print({ peer: peer.versions, keeps_memory: options["peer-keeps-memory"] });
}

/** Writes what the sides of a work read; returns the files. */
async function writeFiles(work, directory) {
  mkdirSync(directory);
  if (work.kind === "train") {
    const batches = join(directory, "batches.json");
    writeFileSync(batches, JSON.stringify(batchesForPeer(work)));
    return { batches };
  }
  const model = join(directory, "model");
  mkdirSync(model);
  await writeRandomModel(model, work);
  return { model };
}

function startSide(side, { work, mode, files }) {
  const job = JSON.stringify({ work, mode, threads, files });
  const [command, script] =
    side === "torch" ? [peer.python, "torch/peer.py"] : [process.execPath, "ours.js"];
  const env = side === "torch" && options["peer-keeps-memory"] ? keepMemory : {};
  const start = () => startWorker(command, [join(here, script), job], env);
  return { name: `${side} ${mode}`, start, turns: [], facts: [] };
}

/** Lets the sides take turns; adds each one's times, start-up and peak memory. */
async function takeTurns(sides, { repetitions, turns }) {
  for (const side of sides) {
    side.worker = side.start(); // one after the other, so that starting is timed alone
    const { runs, startupMs } = await side.worker.ask(1);
    Object.assign(side, { startupMs, first: runs[0] });
    await side.worker.ask(1); // warm
  }
  for (let turn = 0; turn < turns; turn++) {
    for (const side of sides) {
      const { runs } = await side.worker.ask(side.repetitions ?? repetitions);
      side.turns.push(runs.map(({ ms }) => ms));
      side.facts.push(...runs);
    }
  }
  for (const side of sides) Object.assign(side, await side.worker.end());
}

/** What a side measured. */
function describeSide(work, side, { masked, peakGflops }) {
  const times = side.turns.flat();
  const ms = summarise(times);
  const shape = shapeOf(work);
  const flops = flopsOf(work, masked);
  const gflops = flops && flops / 1e6 / ms.median;
  return {
    work: work.name,
    side: side.name,
    ...(shape && { shape }),
    ms,
    cpu_ms: summarise(side.facts.map(({ cpuMs }) => cpuMs)),
    ...(shape && { tokens_per_second: Math.round((1000 * shape[0] * shape[1]) / ms.median) }),
    ...(gflops && {
      gflops: Math.round(gflops),
      gemm_peak_gflops: Math.round(peakGflops),
      gemm_peak_percent: Math.round((100 * gflops) / peakGflops),
    }),
    peak_rss_mb: Math.round(side.peakRssBytes / 1e6),
    startup_to_first_ms: Math.round(side.startupMs),
  };
}

/** How a side of ours compares with one of the peer's. */
function compare(work, ours, theirs, target) {
  const same = ours.first.tokens?.filter((id, i) => id === theirs.first.tokens[i]).length;
  return {
    work: work.name,
    ours: ours.name,
    peer: theirs.name,
    ratio: pairedRatio(theirs, ours),
    ...(target && { target }),
    rss_ratio: round(ours.peakRssBytes / theirs.peakRssBytes),
    ...(same !== undefined && { same_tokens: `${same}/${ours.first.tokens.length}` }),
  };
}

async function measure(work, directory) {
  const files = await writeFiles(work, directory);
  const modes = (key) => [...new Set(work.comparisons.map((comparison) => comparison[key]))];
  const gemm = startSide("gemm", { work: { kind: "gemm", size: GEMM_SIZE }, mode: "float32" });
  gemm.repetitions = 5;
  const ours = modes("ours").map((mode) => startSide("dllm", { work, mode, files }));
  const theirs = peer?.python
    ? modes("peer").map((mode) => startSide("torch", { work, mode, files }))
    : [];
  await takeTurns([gemm, ...ours, ...theirs], work);
  const masked =
    work.kind === "train"
      ? ours[0].facts.reduce((sum, run) => sum + run.masked, 0) / ours[0].facts.length
      : work.blockSize;
  const peakGflops = (2 * GEMM_SIZE ** 3) / 1e6 / Math.min(...gemm.turns.flat());
  for (const side of [...ours, ...theirs]) {
    print(describeSide(work, side, { masked, peakGflops }));
  }
  const find = (sides, name) => sides.find((side) => side.name === name);
  return work.comparisons.flatMap((comparison) => {
    const mine = find(ours, `dllm ${comparison.ours}`);
    const other = find(theirs, `torch ${comparison.peer}`);
    if (!other) return [];
    const line = compare(work, mine, other, comparison.target);
    print(line);
    const [oursMs, peerMs] = [mine, other].map((side) => median(side.turns.flat()));
    return [{ ...line, oursMs, peerMs }];
  });
}

const directory = mkdtempSync(join(tmpdir(), "dllm-bench-"));
const rows = [];
try {
  for (const name of options.only.split(",")) {
    rows.push(...(await measure(works[name], join(directory, name))));
  }
} finally {
  rmSync(directory, { recursive: true, force: true });
}
printTable(rows);
