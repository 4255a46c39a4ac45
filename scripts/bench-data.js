/**
 * Measures tokenisation: rows and tokens per second of one core, on the alpaca and GSM8K rows in
 * the assets with ModernBERT's tokenizer. With a Python that has Hugging Face's `tokenizers`
 * (DLLM_PYTHON), the same rows with the Rust library on one thread.
 */
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { ensureBuilt } from "./setup.js";

ensureBuilt();
const { loadTokenizer } = await import("../dist/data/tokenizer.js");
const assets = resolve(process.env.DLLM_ASSETS_DIR ?? "../shared/assets");
const directory = join(assets, "tokenizer-modernbert");
const alpaca = JSON.parse(readFileSync(join(assets, "alpaca/alpaca_en_demo.json"), "utf8"));
const gsm8k = readFileSync(join(assets, "gsm8k/train.jsonl"), "utf8")
  .trimEnd()
  .split("\n")
  .map((line) => JSON.parse(line));
const texts = [
  ...alpaca.map(({ instruction, input, output }) => `${instruction}\n${input}\n${output}`),
  ...gsm8k.map(({ question, answer }) => `${question}\n${answer}`),
];

function show(name, { tokens, seconds }) {
  const rate = (count) => Math.round(count / seconds).toLocaleString("en");
  console.log(`${name}: ${rate(texts.length)} rows/s, ${rate(tokens)} tokens/s per core`);
}

const tokenizer = await loadTokenizer(directory);
for (const pass of ["cold", "warm"]) {
  const start = process.cpuUsage();
  let tokens = 0;
  for (const text of texts) tokens += tokenizer.encode(text).length;
  const { user, system } = process.cpuUsage(start);
  show(`dllm, ${pass}`, { tokens, seconds: (user + system) / 1e6 });
}

const script = `
import json, sys, time
from tokenizers import Tokenizer
tokenizer = Tokenizer.from_file(sys.argv[1])
texts = json.load(sys.stdin)
start = time.process_time()
tokens = sum(len(e.ids) for e in tokenizer.encode_batch(texts, add_special_tokens=False))
print(json.dumps({"tokens": tokens, "seconds": time.process_time() - start}))`;
const python = process.env.DLLM_PYTHON ?? "python3";
const rust = spawnSync(python, ["-c", script, join(directory, "tokenizer.json")], {
  input: JSON.stringify(texts),
  encoding: "utf8",
  maxBuffer: 1 << 20,
  env: { ...process.env, RAYON_NUM_THREADS: "1", TOKENIZERS_PARALLELISM: "false" },
});
if (rust.status === 0) show("Hugging Face tokenizers (Rust)", JSON.parse(rust.stdout));
else console.log(`no peer: ${python} has no tokenizers package (set DLLM_PYTHON)`);
