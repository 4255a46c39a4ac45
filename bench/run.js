/**
 * @file `npm run bench [-- --against torch] [--only NAME,…] [--threads N]`: measures each work and prints one
 * JSON line per measurement. Against the peer, the sides take turns in one run (A B A B), so that
 * a machine that is slower for a while is slower for both; medians, and the ratio of the medians.
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { batchesForPeer } from "./batches.js";
import { flopsOf, works } from "./configs.js";
import { findPython } from "./python.js";
import { startWorker } from "./worker.js";

const here = dirname(fileURLToPath(import.meta.url));
const GEMM_SIZE = 1024;
/** Different batches, used in turn. */
const STEPS = 8;

const { values: options } = parseArgs({
  options: {
    against: { type: "string" },
    only: { type: "string", default: Object.keys(works).join() },
    threads: { type: "string", default: "2" },
    precisions: { type: "string", default: "float32,bfloat16" },
  },
});
const threads = Number(options.threads);
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
  else print({ peer: peer.versions });
}

const quantile = (sorted, q) => sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))];

function summarise(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const round = (value) => Math.round(value * 100) / 100;
  return {
    median: round(quantile(sorted, 0.5)),
    low: round(quantile(sorted, 0.1)),
    high: round(quantile(sorted, 0.9)),
  };
}

function startOurs(work) {
  return startWorker(process.execPath, [
    join(here, "ours.js"),
    JSON.stringify({ work, threads, steps: STEPS }),
  ]);
}

function startPeer(work, precision, data) {
  const job = JSON.stringify({ work, threads, precision, data });
  return startWorker(peer.python, [join(here, "torch_peer.py"), job]);
}

/** Lets the sides take turns; returns each side's runs, start-up and peak memory. */
async function takeTurns(sides, turns) {
  for (const side of sides) {
    const { runs, startupMs } = await side.worker.ask(1);
    Object.assign(side, { startupMs, first: runs[0], runs: [] });
    await side.worker.ask(1); // warm
  }
  for (let turn = 0; turn < turns; turn++) {
    for (const side of sides) side.runs.push(...(await side.worker.ask(side.repetitions)).runs);
  }
  for (const side of sides) Object.assign(side, await side.worker.end());
}

async function measure(work, directory) {
  const data = join(directory, `${work.name}.json`);
  const sides = [
    { side: "dllm", worker: startOurs(work), repetitions: work.repetitions },
    { side: "gemm", worker: startOurs({ kind: "gemm", size: GEMM_SIZE }), repetitions: 5 },
  ];
  if (peer?.python) {
    writeFileSync(data, JSON.stringify(batchesForPeer(work, STEPS)));
    for (const precision of options.precisions.split(",")) {
      const worker = startPeer(work, precision, data);
      sides.push({ side: `torch ${precision}`, worker, repetitions: work.repetitions });
    }
  }
  await takeTurns(sides, work.turns);
  const [ours, gemm] = sides;
  const masked = ours.runs.reduce((sum, run) => sum + run.masked, 0) / ours.runs.length;
  const flops = flopsOf(work, masked);
  const peakGflops = (2 * GEMM_SIZE ** 3) / 1e6 / Math.min(...gemm.runs.map(({ ms }) => ms));
  for (const side of sides) {
    if (side === gemm) continue;
    const ms = summarise(side.runs.map((run) => run.ms));
    const gflops = flops / 1e6 / ms.median;
    const ratio = ms.median / summarise(ours.runs.map((run) => run.ms)).median;
    const target = work.target[side.side.split(" ")[1]];
    print({
      work: work.name,
      side: side.side,
      shape: [work.batch, work.seq],
      ms,
      cpu_ms: summarise(side.runs.map((run) => run.cpuMs)),
      tokens_per_second: Math.round((1000 * work.batch * work.seq) / ms.median),
      gflops: Math.round(gflops),
      gemm_peak_gflops: Math.round(peakGflops),
      gemm_peak_percent: Math.round((100 * gflops) / peakGflops),
      peak_rss_mb: Math.round(side.peakRssBytes / 1e6),
      startup_to_first_step_ms: Math.round(side.startupMs),
      first_loss: side.first.loss,
      ...(side !== ours && {
        ours_faster_by: Math.round(ratio * 100) / 100,
        ...(target && { target }),
        ours_rss_ratio: Math.round((100 * ours.peakRssBytes) / side.peakRssBytes) / 100,
      }),
    });
  }
}

const directory = mkdtempSync(join(tmpdir(), "dllm-bench-"));
try {
  for (const name of options.only.split(",")) await measure(works[name], directory);
} finally {
  rmSync(directory, { recursive: true, force: true });
}
