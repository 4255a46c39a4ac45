/**
 * What running a stage costs beyond its work: trivial stages with dllm, GNU make and Snakemake,
 * one at a time, on the same machine in the same run; and the status and the plan of ten thousand
 * stages. Prints one JSON object per measurement, and a table.
 *
 *   npm run bench:overhead [-- --stages 1000] [--directory DIR]
 */
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { planRun } from "../dist/plan/plan.js";
import { parseRecipe } from "../dist/recipe/load.js";
import { readRunStatus } from "../dist/run/run-status.js";

const { values } = parseArgs({
  options: { stages: { type: "string", default: "1000" }, directory: { type: "string" } },
});
const count = Number(values.stages);
const here = (name) => fileURLToPath(new URL(name, import.meta.url));
const directory = mkdtempSync(join(values.directory ?? tmpdir(), "dllm-overhead-"));
const rows = [];

function note(what, figures) {
  rows.push({ what, ...figures });
  console.log(JSON.stringify({ what, ...figures }));
}

const round = (value, digits = 3) => Number(value.toFixed(digits));

/** Runs a command and returns its seconds; throws with its output when it fails. */
function time(command, args, options = {}) {
  const started = performance.now();
  const { status, error, stdout, stderr } = spawnSync(command, args, {
    encoding: "utf8",
    maxBuffer: 1 << 30,
    ...options,
  });
  if (error) throw error;
  if (status !== 0) throw new Error(`${command} ended with ${status}: ${stderr.slice(-2000)}`);
  return { seconds: (performance.now() - started) / 1000, stdout };
}

function isThere(command) {
  return spawnSync(command, ["--version"], { stdio: "ignore" }).status === 0;
}

function compare(tool, prepare) {
  if (!isThere(tool)) {
    note(`${tool}`, { skipped: `${tool} is not installed` });
    return;
  }
  for (const [variant, recipe] of [
    ["shell", (n) => `echo done > out-${n}.txt`],
    // The price of the process that a stage is: the same runtime, nothing else.
    ["node", (n) => `${process.execPath} -e 'fs.writeFileSync("out-${n}.txt","done")'`],
  ]) {
    const work = join(directory, `${tool}-${variant}`);
    mkdirSync(work);
    const args = prepare(work, recipe);
    const { seconds } = time(tool, args, { cwd: work });
    const again = time(tool, args, { cwd: work });
    note(`${tool}, ${variant} recipes`, {
      stages: count,
      seconds: round(seconds, 2),
      msPerStage: round((1000 * seconds) / count, 2),
      againSeconds: round(again.seconds, 2),
    });
  }
}

const numbers = Array.from({ length: count }, (_, n) => n);

try {
  const bare = time("sh", ["-c", `for n in $(seq 50); do ${process.execPath} -e 0; done`]).seconds;
  note("node -e 0, the process alone", { stages: 50, msPerStage: round((1000 * bare) / 50, 2) });

  const { stdout } = time(process.execPath, [
    here("overhead-executor.js"),
    directory,
    String(count),
  ]);
  const { first, second, rss } = JSON.parse(stdout);
  const mebibytes = rss.map((bytes) => Math.round(bytes / 2 ** 20));
  note("dllm", {
    stages: count,
    seconds: round(first.seconds, 2),
    msPerStage: round((1000 * first.seconds) / count, 2),
    againSeconds: round(second.seconds, 2),
    rssMiB: mebibytes,
    // Flat: what the second half added.
    growthMiB: mebibytes.at(-1) - mebibytes[Math.floor(mebibytes.length / 2) - 1],
  });

  compare("make", (work, recipe) => {
    const rules = numbers.map((n) => `out-${n}.txt:\n\t@${recipe(n)}\n`);
    const all = `all: ${numbers.map((n) => `out-${n}.txt`).join(" ")}\n`;
    writeFileSync(join(work, "Makefile"), all + rules.join(""));
    return ["-s"];
  });
  compare("snakemake", (work, recipe) => {
    const rules = numbers.map(
      (n) => `rule r${n}:\n    output: "out-${n}.txt"\n    shell: ${JSON.stringify(recipe(n))}\n`,
    );
    const all = `rule all:\n    input: expand("out-{n}.txt", n=range(${count}))\n`;
    writeFileSync(join(work, "Snakefile"), all + rules.join(""));
    return ["-q", "all", "-j", "1"];
  });

  const big = join(directory, "big");
  mkdirSync(join(big, "stages"), { recursive: true });
  const stages = Array.from({ length: 10_000 }, (_, n) => {
    const fingerprint = n.toString(16).padStart(64, "0");
    const id = `stage-${n}`;
    mkdirSync(join(big, "stages", id));
    const figures = { durationSeconds: 1, totalSeconds: 1, artifact: "a", metrics: {} };
    const result = { schema: 1, reason: "ok", id, kind: "sft", fingerprint, ...figures };
    if (n % 2 === 0) {
      writeFileSync(join(big, "stages", id, "result.json"), JSON.stringify(result));
    }
    return { id, kind: "sft", fingerprint, params: {}, inputs: {}, action: "run", reason: "" };
  });
  writeFileSync(join(big, "plan.json"), JSON.stringify({ schema: 1, name: "big", stages }));
  let started = performance.now();
  const status = readRunStatus(big);
  note("status of 10,000 stages", {
    stages: status.stages.length,
    seconds: round((performance.now() - started) / 1000),
  });

  const rates = Array.from({ length: 3333 }, (_, n) => `${(n + 1) / 1e7}`).join(", ");
  const text = `name: big
model: {config: {hidden_size: 64, num_attention_heads: 4, max_position_embeddings: 128}}
tokenizer: {train: {vocab_size: 512, dataset_args: text}}
pretrain: {dataset_args: text, max_length: 64, max_steps: 100}
sft: {dataset_args: chat, max_length: 128}
eval: {from: [sft], tasks: [heldout_likelihood]}
export: {}
sweep:
  method: grid
  metric: {name: eval_loss, goal: minimize}
  parameters: {sft.learning_rate: {values: [${rates}]}}
`;
  const source = (name) => {
    const files = [{ path: `${name}.txt`, bytes: 10, sha256: "0".repeat(64) }];
    return { name, options: {}, files };
  };
  const datasets = {
    "tokenizer.train.dataset_args": [source("text")],
    "pretrain.dataset_args": [source("text")],
    "sft.dataset_args": [source("chat")],
  };
  started = performance.now();
  const loaded = parseRecipe(text, { file: "big.yaml", set: [] });
  const plan = planRun({
    loaded,
    pins: { datasets },
    locations: { text: "/data/text", chat: "/data/chat" },
    cores: 2,
    existing: () => undefined,
    previous: undefined,
  });
  note("plan of 10,000 stages", {
    stages: plan.stages.length,
    seconds: round((performance.now() - started) / 1000),
  });
  printTable();
} finally {
  rmSync(directory, { recursive: true, force: true });
}

function printTable() {
  const cell = (value) => (value === undefined ? "" : String(value));
  const head = ["", "stages", "seconds", "ms/stage", "again s"];
  const table = [
    head,
    ...rows.map(({ what, stages, seconds, msPerStage, againSeconds, skipped }) => [
      what,
      cell(stages),
      skipped ?? cell(seconds),
      cell(msPerStage),
      cell(againSeconds),
    ]),
  ];
  const widths = head.map((_, column) => Math.max(...table.map((row) => row[column].length)));
  console.log();
  for (const row of table) {
    console.log(
      `  ${row.map((text, i) => (i === 0 ? text.padEnd(widths[i]) : text.padStart(widths[i]))).join("  ")}`,
    );
  }
}
