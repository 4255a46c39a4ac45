/**
 * @file `npm run bench:data [-- --gigabytes 2] [--turns 3]`: tokenisation of the alpaca and GSM8K
 * rows in the assets with ModernBERT's tokenizer, against Hugging Face's `tokenizers` where
 * DLLM_BENCH_PYTHON has it; then the memory of preparing a large parquet file of the same texts,
 * which must stay below 1 GiB. `--gigabytes 0` leaves that out.
 */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { measurePrepare } from "./prepare-memory.js";
import { measureTokenizers } from "./tokenize.js";

const MOST_RSS_BYTES = 2 ** 30;
const SHOWN_SAMPLES = 24;

const { values: options } = parseArgs({
  options: {
    gigabytes: { type: "string", default: "2" },
    turns: { type: "string", default: "3" },
  },
});
const assets = resolve(process.env.DLLM_ASSETS_DIR ?? "../shared/assets");
const tokenizer = join(assets, "tokenizer-modernbert");
const alpaca = JSON.parse(readFileSync(join(assets, "alpaca/alpaca_en_demo.json"), "utf8"));
const gsm8k = readFileSync(join(assets, "gsm8k/train.jsonl"), "utf8")
  .trimEnd()
  .split("\n")
  .map((line) => JSON.parse(line));
const data = {
  alpaca: alpaca.map(({ instruction, input, output }) => `${instruction}\n${input}\n${output}`),
  gsm8k: gsm8k.map(({ question, answer }) => `${question}\n${answer}`),
};

const whole = (value) => Math.round(value).toLocaleString("en");
const mib = (bytes) => `${whole(bytes / 2 ** 20)} MiB`;
/** Prints cells, the last ones of a row being figures. */
const columns = (names, figures) =>
  console.log(
    [...names.map((name) => name.padEnd(12)), ...figures.map((figure) => figure.padStart(10))].join(
      " ",
    ),
  );

async function showTokenizers() {
  const python = process.env.DLLM_BENCH_PYTHON ?? "python3";
  const found = await measureTokenizers({
    directory: tokenizer,
    data,
    python,
    turns: Number(options.turns),
  });
  console.log("Tokenisation per core (seconds of CPU, median; cold or warm: the cache of words)");
  columns(["data", "side"], ["rows/s", "tokens/s", "dllm/Rust"]);
  for (const { work, rows, tokens, ours, peer } of found.rows) {
    const ratio = peer === undefined ? "" : `${(peer / ours).toFixed(2)}x`;
    columns([work, "dllm"], [whole(rows / ours), whole(tokens / ours), ratio]);
    if (peer !== undefined) columns([work, "Rust"], [whole(rows / peer), whole(tokens / peer)]);
  }
  console.log(found.reason ?? `peer: tokenizers ${found.peerVersion}, one thread`);
}

/** Returns whether the memory stayed within its bound. */
async function showPrepare(directory) {
  const bytes = Number(options.gigabytes) * 1e9;
  const texts = Object.values(data).flat();
  const found = await measurePrepare({ directory, tokenizer, texts, bytes });
  const { rows, tokens, seconds, threads, peakRssBytes, curve } = found;
  console.log(
    `\nPreparing ${(found.fileBytes / 1e9).toFixed(2)} GB of parquet, ${whole(rows)} rows: ` +
      `${whole(seconds)} s with ${threads} threads, ${whole(rows / seconds)} rows/s, ` +
      `${whole(tokens / seconds)} tokens/s`,
  );
  columns([], ["time", "rows", "resident"]);
  const step = Math.max(1, Math.ceil(curve.length / SHOWN_SAMPLES));
  for (let start = 0; start < curve.length; start += step) {
    // The greatest of those that a line stands for.
    const samples = curve.slice(start, start + step);
    const rssBytes = Math.max(...samples.map((sample) => sample.rssBytes));
    const last = samples.at(-1);
    const bar = "#".repeat(Math.round((40 * rssBytes) / MOST_RSS_BYTES));
    columns([], [`${whole(last.seconds)} s`, whole(last.rows), mib(rssBytes), ` ${bar}`]);
  }
  const isBounded = peakRssBytes < MOST_RSS_BYTES;
  console.log(
    `peak ${mib(peakRssBytes)}, ${isBounded ? "below" : "NOT below"} ${mib(MOST_RSS_BYTES)}`,
  );
  return isBounded;
}

await showTokenizers();
if (Number(options.gigabytes) > 0) {
  const directory = mkdtempSync(join(tmpdir(), "dllm-bench-data-"));
  try {
    if (!(await showPrepare(directory))) process.exitCode = 1;
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}
