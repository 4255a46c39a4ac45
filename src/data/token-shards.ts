/**
 * @file Tokenised rows on their way to a dataset, in the order of their source: a file of ids and
 * a table of rows per shard. Written once, read at random while the splits are put together.
 */
import { closeSync, openSync, readFileSync, readSync } from "node:fs";
import { join } from "node:path";
import { writeFile } from "../base/fs.js";
import { ROW_FIELDS, type TokenizedBatch } from "./tokenize-rows.js";

const IDS = "ids.bin";
const ROWS = "rows.bin";

/** A row as it was tokenised. */
export interface ShardRow {
  length: number;
  promptLength: number;
  /** Tokens before it was cut. */
  all: number;
  /** RowState bits. */
  state: number;
  ids(): Int32Array;
}

const BLOCK_ROWS = 64;

const bytesOf = (array: Int32Array | Uint32Array): Uint8Array =>
  new Uint8Array(array.buffer, array.byteOffset, array.byteLength);

/** Writes the batches of a shard into a private directory. */
export async function writeShard(
  directory: string,
  batches: readonly TokenizedBatch[],
): Promise<void> {
  await writeFile(
    join(directory, IDS),
    batches.map(({ ids }) => bytesOf(ids)),
  );
  await writeFile(
    join(directory, ROWS),
    batches.map(({ rows }) => bytesOf(rows)),
  );
}

interface OpenShard {
  table: Uint32Array;
  /** First id of each block of rows: rows are many, so that of a row is counted from there. */
  starts: Float64Array;
  read(start: number, length: number): Int32Array;
}

/** Returns the first id of a row of a shard. */
function startOf({ table, starts }: OpenShard, row: number): number {
  const block = Math.floor(row / BLOCK_ROWS);
  let start = starts[block]!;
  for (let before = block * BLOCK_ROWS; before < row; before++) {
    start += table[before * ROW_FIELDS]!;
  }
  return start;
}

/** Rows of several shards, numbered through. */
export class TokenShards {
  readonly #shards: OpenShard[] = [];
  readonly #firstRows: number[] = [];
  readonly #files: number[] = [];
  #rows = 0;

  get rows(): number {
    return this.#rows;
  }

  #add(table: Uint32Array, read: OpenShard["read"]): void {
    const rows = table.length / ROW_FIELDS;
    const starts = new Float64Array(Math.ceil(rows / BLOCK_ROWS));
    let start = 0;
    for (let row = 0; row < rows; row++) {
      if (row % BLOCK_ROWS === 0) starts[row / BLOCK_ROWS] = start;
      start += table[row * ROW_FIELDS]!;
    }
    this.#firstRows.push(this.#rows);
    this.#shards.push({ table, starts, read });
    this.#rows += rows;
  }

  /** Adds a shard on the disk; its ids are read when they are asked for. */
  addDirectory(directory: string): void {
    const bytes = readFileSync(join(directory, ROWS));
    const file = openSync(join(directory, IDS), "r");
    this.#files.push(file);
    this.#add(new Uint32Array(new Uint8Array(bytes).buffer), (start, length) =>
      readIds(file, start, length),
    );
  }

  /** Adds batches that are in memory. */
  addBatches(batches: readonly TokenizedBatch[]): void {
    for (const { ids, rows } of batches) {
      this.#add(rows, (start, length) => ids.subarray(start, start + length));
    }
  }

  row(index: number): ShardRow {
    let low = 0;
    let high = this.#firstRows.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (this.#firstRows[middle]! <= index) low = middle;
      else high = middle - 1;
    }
    const shard = this.#shards[low]!;
    const { table, read } = shard;
    const at = index - this.#firstRows[low]!;
    const [length, promptLength, all, state] = table.subarray(
      at * ROW_FIELDS,
      (at + 1) * ROW_FIELDS,
    );
    return {
      length: length!,
      promptLength: promptLength!,
      all: all!,
      state: state!,
      ids: () => read(startOf(shard, at), length!),
    };
  }

  close(): void {
    for (const file of this.#files.splice(0)) closeSync(file);
  }
}

/** Reads int32 ids of a file: [start, start + length) in ids. */
export function readIds(file: number, start: number, length: number): Int32Array {
  const bytes = new Uint8Array(length * 4);
  for (let at = 0; at < bytes.length;) {
    const read = readSync(file, bytes, at, bytes.length - at, start * 4 + at);
    if (read === 0) throw new Error(`a file of ids ends at byte ${start * 4 + at}`);
    at += read;
  }
  return new Int32Array(bytes.buffer);
}
