/**
 * @file The rows of a mix to token shards: read in order, tokenised by threads, published shard
 * by shard as the stage's checkpoints, so that a stopped attempt goes on with the next shard.
 */
import { dirname, join } from "node:path";
import { checkpointName, readCheckpoints } from "../base/checkpoint-directory.js";
import { DllmError, ExitCode } from "../base/errors.js";
import { temporaryPath } from "../base/fs.js";
import type { ChatMessage } from "../data/chat-template.js";
import type { SourceRow } from "../data/formats/row.js";
import { LineStore } from "../data/line-store.js";
import { sourceRows } from "../data/open-source.js";
import { TokenShards, writeShard } from "../data/token-shards.js";
import { openTokenizePool } from "../data/tokenize-pool.js";
import type { TokenizeItem, TokenizeSettings, TokenizedBatch } from "../data/tokenize-rows.js";
import type { BadRowSettings } from "../plan/params.js";
import type { StageContext } from "../plan/stage.js";
import { checkStop, type MixSource } from "./open-sources.js";

const BATCH_ROWS = 256;
const BATCH_CHARACTERS = 1 << 20;
// 32 MiB of ids: seconds of work to lose, and little memory to hold.
const SHARD_TOKENS = 8 << 20;

export interface TokenizedMix {
  shards: TokenShards;
  /** Index into the shards of a row of the mix; -1 for rows that were not needed. */
  indexOf: Int32Array;
  /** JSON text of the rows that `keepLines` asked for. */
  lines: LineStore;
}

export interface MixJob {
  sources: readonly MixSource[];
  /** Numbers of rows in the mix. */
  needed: Iterable<number>;
  /** Rows whose text the artifact holds beside their tokens. */
  keepLines: ReadonlySet<number>;
  settings: TokenizeSettings;
  badRows: BadRowSettings;
}

/** Returns the needed rows, tokenised. The caller closes the shards and the lines. */
export async function tokenizeMix(context: StageContext, job: MixJob): Promise<TokenizedMix> {
  const end = job.sources.at(-1)?.end ?? 0;
  const indexOf = new Int32Array(end).fill(-1);
  for (const id of job.needed) indexOf[id] = 0;
  let total = 0;
  for (let id = 0; id < end; id++) if (indexOf[id] === 0) indexOf[id] = total++;
  const shards = new TokenShards();
  const resumed = await addPublished(context, shards);
  if (resumed > 0) context.log(`going on after ${resumed} shards, ${shards.rows} rows`);
  const writer = new ShardWriter(context, shards, resumed);
  const lines = new LineStore(temporaryPath(join(context.outputDirectory, "lines.jsonl")));
  const pool = await openTokenizePool({
    directory: context.input("tokenizer"),
    settings: job.settings,
    threads: Math.min(context.job.hardware.threads, Math.ceil(total / BATCH_ROWS)),
  });
  const flying: Promise<TokenizedBatch>[] = [];
  const already = shards.rows;
  let done = already;
  const land = async (): Promise<void> => {
    const batch = await flying.shift()!;
    done += batch.rows.length / 4;
    context.progress({ done, total, unit: "row" });
    await writer.add(batch, done < total);
    checkStop(context);
  };
  try {
    let items: TokenizeItem[] = [];
    let characters = 0;
    const launch = async (): Promise<void> => {
      const batch = pool.run(items);
      batch.catch(() => undefined); // it is awaited later, after others that may fail first
      flying.push(batch);
      items = [];
      characters = 0;
      if (flying.length > 2 * pool.threads) await land();
    };
    for await (const { id, row, item } of neededRows(job, indexOf)) {
      if (job.keepLines.has(id)) lines.add(id, lineOf(row, item));
      if (indexOf[id]! < already) continue;
      items.push(item);
      characters += sizeOf(item);
      if (items.length === BATCH_ROWS || characters >= BATCH_CHARACTERS) await launch();
    }
    if (items.length > 0) await launch();
    while (flying.length > 0) await land();
    writer.finish();
    return { shards, indexOf, lines };
  } catch (error) {
    shards.close();
    await lines.close();
    throw error;
  } finally {
    await pool.close();
  }
}

/** Adds the shards that earlier attempts have published; returns how many. */
async function addPublished(context: StageContext, shards: TokenShards): Promise<number> {
  const newest = await context.checkpoints.latest();
  if (newest === undefined) return 0;
  const { valid } = readCheckpoints(dirname(newest.directory), Infinity);
  const byStep = new Map(valid.map(({ step, directory }) => [step, directory]));
  let count = 0;
  // Only as far as none is missing: one may have been set aside.
  while (byStep.has(count + 1)) shards.addDirectory(byStep.get(++count)!);
  return count;
}

class ShardWriter {
  readonly #context: StageContext;
  readonly #shards: TokenShards;
  #number: number;
  #batches: TokenizedBatch[] = [];
  #tokens = 0;

  constructor(context: StageContext, shards: TokenShards, published: number) {
    this.#context = context;
    this.#shards = shards;
    this.#number = published;
  }

  /** Adds a batch; publishes the shard when it is full and more will come. */
  async add(batch: TokenizedBatch, more: boolean): Promise<void> {
    this.#batches.push(batch);
    this.#tokens += batch.ids.length;
    if (this.#tokens < SHARD_TOKENS || !more) return;
    const { checkpoints } = this.#context;
    const batches = this.#batches;
    const step = ++this.#number;
    await checkpoints.save(step, (directory) => writeShard(directory, batches), { keep: Infinity });
    const newest = await checkpoints.latest();
    this.#shards.addDirectory(join(dirname(newest!.directory), checkpointName(step)));
    this.#batches = [];
    this.#tokens = 0;
  }

  /** The last shard stays in memory: what is left to do takes no longer than reading it. */
  finish(): void {
    this.#shards.addBatches(this.#batches);
  }
}

interface NeededRow {
  id: number;
  row: SourceRow;
  item: TokenizeItem;
}

async function* neededRows(job: MixJob, indexOf: Int32Array): AsyncGenerator<NeededRow> {
  const { on_bad_row: policy, max_bad_row_ratio: ratio } = job.badRows;
  for (const source of job.sources) {
    let last = source.end - 1;
    while (last >= source.first && indexOf[last]! < 0) last--;
    if (last < source.first) continue;
    let id = source.first;
    let needed = 0;
    const bad: DllmError[] = [];
    for await (const row of sourceRows(source)) {
      if (indexOf[id]! >= 0) {
        needed++;
        const item = itemOf(source, row, job.settings);
        if (item instanceof DllmError) {
          if (policy === "error") throw item;
          bad.push(item);
        }
        yield { id, row, item: item instanceof DllmError ? null : item };
      }
      if (++id > last) break;
    }
    if (id <= last) {
      throw new Error(`${source.name}: ${id - source.first} rows, after counting more`);
    }
    if (bad.length > ratio * needed) throw tooManyBad(source, { bad, needed, ratio });
  }
}

/** Returns what of a row is tokenised, or why it is bad. */
export function itemOf(
  { reader }: Pick<MixSource, "reader">,
  row: SourceRow,
  { task }: Pick<TokenizeSettings, "task">,
): TokenizeItem | DllmError {
  if (row.problem !== undefined) return row.problem;
  try {
    return task === "text" ? reader.text(row) : reader.messages(row);
  } catch (error) {
    if (error instanceof DllmError && error.exitCode === ExitCode.invalidInput) return error;
    throw error;
  }
}

function tooManyBad(
  { name }: MixSource,
  { bad, needed, ratio }: { bad: readonly DllmError[]; needed: number; ratio: number },
): DllmError {
  return new DllmError(`dataset "${name}": ${bad.length} of ${needed} rows are bad`, {
    exitCode: ExitCode.invalidInput,
    details: [
      `expected at most ${ratio * 100} % (max_bad_row_ratio)`,
      ...bad.slice(0, 3).map(({ message }) => message),
    ],
  });
}

function sizeOf(item: TokenizeItem): number {
  if (item === null) return 0;
  if (typeof item === "string") return item.length;
  return item.reduce((sum, { content }) => sum + content.length, 0);
}

/** The row as it stands, with its conversation where that has another form. */
function lineOf({ value }: SourceRow, item: TokenizeItem): string {
  const isKnown =
    typeof value === "object" &&
    (value["messages"] !== undefined || value["instruction"] !== undefined);
  if (isKnown || item === null || typeof value === "string") return JSON.stringify(value);
  return JSON.stringify({ ...value, messages: item as readonly ChatMessage[] });
}
