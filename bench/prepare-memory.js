/**
 * @file The memory of a prepare stage over a large parquet file: a file of text is written, `dllm
 * run` prepares it, and the resident memory of the stage's process is read while it works.
 */
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { closeSync, openSync, statSync, writeFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { clearInterval, setInterval } from "node:timers";
import { fileURLToPath } from "node:url";
import { ByteWriter, ParquetWriter } from "hyparquet-writer";

const ROWS_PER_GROUP = 50_000;
const SAMPLE_MS = 1000;
/** The id that the recipe below gives to the stage. */
const STAGE = "prepare-pretrain";
const SCHEMA = [
  { name: "root", num_children: 1 },
  { name: "text", type: "BYTE_ARRAY", converted_type: "UTF8", repetition_type: "REQUIRED" },
];

/**
 * Writes a parquet file of at least so many bytes, uncompressed: the texts again and again, each
 * with a number of its own, so that no cache of words has seen it all.
 * @returns how many rows
 */
function writeParquet(path, texts, bytes) {
  const file = openSync(path, "w");
  const writer = new ByteWriter();
  const parquet = new ParquetWriter({ writer, schema: SCHEMA, codec: "UNCOMPRESSED" });
  // Row groups go to the file as they are made.
  const flush = () => {
    writeSync(file, new Uint8Array(writer.buffer, 0, writer.index));
    writer.index = 0;
  };
  let rows = 0;
  while (writer.offset < bytes) {
    const data = Array.from({ length: ROWS_PER_GROUP }, () => {
      const number = rows++;
      return `${texts[number % texts.length]}\n#${number}`;
    });
    parquet.write({ columnData: [{ name: "text", data }], rowGroupSize: ROWS_PER_GROUP });
    flush();
  }
  parquet.finish();
  flush();
  closeSync(file);
  return rows;
}

/** Resident bytes of a process; undefined where `ps` cannot say. */
function residentBytes(pid) {
  const { status, stdout } = spawnSync("ps", ["-o", "rss=", "-p", String(pid)], {
    encoding: "utf8",
  });
  return status === 0 ? Number(stdout) * 1024 : undefined;
}

/**
 * Prepares a file of so many bytes in a directory.
 * @returns `{fileBytes, rows, tokens, seconds, threads, peakRssBytes, curve}`; the curve is
 * `[{seconds, rows, rssBytes}]`
 */
export async function measurePrepare({ directory, tokenizer, texts, bytes }) {
  const path = join(directory, "text.parquet");
  const rows = writeParquet(path, texts, bytes);
  const recipe = join(directory, "prepare.yaml");
  writeFileSync(
    recipe,
    JSON.stringify({
      name: "prepare",
      model: { family: "modernbert", config: { hidden_size: 32, num_attention_heads: 2 } },
      tokenizer: { name_or_path: tokenizer },
      pretrain: { dataset_args: [{ name: path }], test_fraction: 0, max_length: 1024 },
    }),
  );
  const command = fileURLToPath(new URL("../bin/dllm.js", import.meta.url));
  const args = [command, "run", recipe, "--runs", join(directory, "runs"), "--json"];
  const child = spawn(process.execPath, [...args, "--until", STAGE], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const exited = once(child, "close");
  const curve = [];
  let started, finished, timer;
  let done = 0;
  for await (const line of createInterface({ input: child.stdout })) {
    const event = JSON.parse(line);
    if (event.stage !== STAGE) continue;
    if (event.event === "stage-progress") done = event.done;
    if (event.event === "stage-finished") finished = event;
    if (event.event === "stage-started") {
      started = { ...event, at: performance.now() };
      timer = setInterval(() => {
        const rssBytes = residentBytes(event.pid);
        if (!rssBytes) return;
        curve.push({ seconds: (performance.now() - started.at) / 1000, rows: done, rssBytes });
      }, SAMPLE_MS);
    }
  }
  clearInterval(timer);
  const [code] = await exited;
  if (finished === undefined) throw new Error(`dllm run ended with ${code}`);
  const { seconds, peakRssBytes, metrics } = finished;
  return {
    fileBytes: statSync(path).size,
    rows,
    tokens: metrics.train_tokens,
    seconds,
    threads: started.threads,
    peakRssBytes,
    curve,
  };
}
