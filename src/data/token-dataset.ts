/**
 * @file Tokenised data on disk, the artifact of a `prepare` stage:
 *
 *     dataset.json        DatasetInfo
 *     <split>.ids.bin     int32 little-endian, all rows one after another
 *     <split>.rows.bin    uint32 little-endian pairs [length, promptLength], one per row
 *     <split>.jsonl       chat only, not of train: the rows that survived, in the same order
 */
import { openSync } from "node:fs";
import { readFile, stat } from "node:fs/promises";
import { endianness } from "node:os";
import { join } from "node:path";
import { DllmError, ExitCode, errorCode } from "../base/errors.js";
import { writeFile } from "../base/fs.js";
import type { JsonObject } from "../base/json.js";
import type { StreamSpec } from "./stream/stream-spec.js";
import { readIds } from "./token-shards.js";

/** What padding means to training: hidden and never trained, or attended to and trained. */
export type Padding = "masked" | "trainable";

export interface SplitInfo {
  rows: number;
  tokens: number;
  /** Further statistics, for people. */
  [statistic: string]: number;
}

/** `dataset.json`. */
export interface DatasetInfo {
  schema: 1;
  task: "text" | "chat";
  /** `train` unless it is streamed, and `test` where there is one. */
  splits: Readonly<Record<string, SplitInfo>>;
  padding: Padding;
  max_length: number;
  /** Ids are below it. */
  vocab_size: number;
  pad_id: number;
  /** What each source gave to each split, for people. */
  sources?: readonly SourceStatistics[];
  /** Where the rows to train on are, when they are read while training. */
  stream?: StreamSpec;
}

/** What became of a source's rows in a split. */
export interface SourceStatistics {
  name: string;
  split: string;
  /** Rows chosen, and those of them that are trained on. */
  source_rows: number;
  rows: number;
  dropped: number;
  truncated: number;
  /** Could not be read; part of the dropped ones. */
  bad: number;
  tokens: number;
  trained_tokens: number;
  /** Rows by their whole length in tokens: below 2, 4, 8, … */
  length_histogram: readonly number[];
}

/** One split: its row table in memory; its ids too where they are few, else read on demand. */
export interface TokenDataset {
  readonly rows: number;
  readonly padding: Padding;
  /** Tokens per row, uint32 [rows]. */
  readonly lengths: Uint32Array;
  /** int32 [length(row)], perhaps a view: do not modify. */
  ids(row: number): Int32Array;
  length(row: number): number;
  /** Leading tokens that are never masked; may exceed the length of a truncated row. */
  promptLength(row: number): number;
}

/** What a batch needs of its rows, by their numbers. */
export type NumberedRows = Pick<TokenDataset, "padding" | "ids" | "length" | "promptLength">;

/** A row before it is written; promptLength 0 when everything is trained. */
export interface TokenRow {
  ids: ArrayLike<number>;
  promptLength: number;
}

if (endianness() !== "LE") throw new Error("token datasets need a little-endian machine");

/** Returns a split from its arrays; rowTable is uint32 [rows, 2]. */
export function tokenDataset(
  ids: Int32Array,
  rowTable: Uint32Array,
  padding: Padding,
): TokenDataset {
  return datasetOf((start, end) => ids.subarray(start, end), rowTable, padding);
}

/** @param read the ids from one position to another */
function datasetOf(
  read: (start: number, end: number) => Int32Array,
  rowTable: Uint32Array,
  padding: Padding,
): TokenDataset {
  const rows = rowTable.length / 2;
  const lengths = new Uint32Array(rows);
  const starts = new Float64Array(rows + 1);
  for (let row = 0; row < rows; row++) {
    lengths[row] = rowTable[2 * row]!;
    starts[row + 1] = starts[row]! + lengths[row]!;
  }
  return {
    rows,
    padding,
    lengths,
    ids: (row) => read(starts[row]!, starts[row + 1]!),
    length: (row) => lengths[row]!,
    promptLength: (row) => Math.min(rowTable[2 * row + 1]!, lengths[row]!),
  };
}

/** Returns rows as a split in memory. */
export function tokenDatasetOf(rows: readonly TokenRow[], padding: Padding): TokenDataset {
  const { ids, rowTable } = packRows(rows);
  return tokenDataset(ids, rowTable, padding);
}

function packRows(rows: readonly TokenRow[]): { ids: Int32Array; rowTable: Uint32Array } {
  const rowTable = new Uint32Array(rows.length * 2);
  let total = 0;
  rows.forEach((row, i) => {
    rowTable[2 * i] = row.ids.length;
    rowTable[2 * i + 1] = row.promptLength;
    total += row.ids.length;
  });
  const ids = new Int32Array(total);
  let at = 0;
  for (const row of rows) {
    ids.set(row.ids, at);
    at += row.ids.length;
  }
  return { ids, rowTable };
}

const bytesOf = (array: Int32Array | Uint32Array): Uint8Array =>
  new Uint8Array(array.buffer, array.byteOffset, array.byteLength);

const WRITE_ROWS = 2048;

/** Writes the two binary files of a split into a private directory, in bounded memory. */
export async function writeTokenSplit(
  directory: string,
  split: string,
  rows: Iterable<TokenRow>,
): Promise<void> {
  const tables: Uint32Array[] = [];
  function* idPieces(): Generator<Uint8Array> {
    let batch: TokenRow[] = [];
    const pack = (): Uint8Array => {
      const { ids, rowTable } = packRows(batch);
      tables.push(rowTable);
      batch = [];
      return bytesOf(ids);
    };
    for (const row of rows) {
      if (batch.push(row) === WRITE_ROWS) yield pack();
    }
    if (batch.length > 0) yield pack();
  }
  await writeFile(join(directory, `${split}.ids.bin`), idPieces());
  await writeFile(join(directory, `${split}.rows.bin`), tables.map(bytesOf));
}

/** Writes dataset.json into a private directory, after the splits. */
export async function writeDatasetInfo(directory: string, info: DatasetInfo): Promise<void> {
  await writeFile(join(directory, "dataset.json"), `${JSON.stringify(info, null, 2)}\n`);
}

function broken(path: string, found: string, expected: string): DllmError {
  return new DllmError(`${path}: ${found}, expected ${expected}`, {
    exitCode: ExitCode.invalidInput,
    details: ["the prepared data is damaged; run the recipe again to prepare it anew"],
  });
}

async function readBytes(path: string): Promise<Buffer> {
  try {
    return await readFile(path);
  } catch (cause) {
    throw errorCode(cause) === "ENOENT" ? absent(path, cause) : cause;
  }
}

function absent(path: string, cause: unknown): DllmError {
  return new DllmError(`${path}: no such file`, {
    exitCode: ExitCode.notFound,
    details: ["expected the output of a prepare stage"],
    cause,
  });
}

/**
 * Returns dataset.json of a prepared dataset.
 * @throws DllmError 66 when it is absent, 65 when it is not of this format
 */
export async function readDatasetInfo(directory: string): Promise<DatasetInfo> {
  const path = join(directory, "dataset.json");
  let info: unknown;
  try {
    info = JSON.parse((await readBytes(path)).toString("utf8"));
  } catch (cause) {
    if (cause instanceof SyntaxError) throw broken(path, cause.message, "JSON");
    throw cause;
  }
  const { schema, padding, splits } = info as JsonObject;
  if (schema !== 1) throw broken(path, `schema is ${JSON.stringify(schema)}`, "1");
  if ((padding !== "masked" && padding !== "trainable") || typeof splits !== "object") {
    throw broken(path, "padding or splits is missing", "a dataset.json of a prepare stage");
  }
  return info as DatasetInfo;
}

const IN_MEMORY_BYTES = 256 << 20;

/**
 * Returns one split of a prepared dataset.
 * @param inMemoryBytes ids beyond it are read row by row
 * @throws DllmError 66 when it is absent, 65 when sizes disagree
 */
export async function openTokenDataset(
  directory: string,
  split: string,
  inMemoryBytes = IN_MEMORY_BYTES,
): Promise<TokenDataset> {
  const info = await readDatasetInfo(directory);
  const expected = info.splits[split];
  if (expected === undefined) {
    throw new DllmError(`${directory}: no split "${split}"`, {
      exitCode: ExitCode.notFound,
      details: [`found: ${Object.keys(info.splits).join(", ")}`],
    });
  }
  const idsPath = join(directory, `${split}.ids.bin`);
  const rowsPath = join(directory, `${split}.rows.bin`);
  const rowBytes = await readBytes(rowsPath);
  if (rowBytes.length !== expected.rows * 8) {
    throw broken(rowsPath, `${rowBytes.length} bytes`, `${expected.rows * 8}`);
  }
  const rowTable = new Uint32Array(new Uint8Array(rowBytes).buffer);
  let tokens = 0;
  for (let row = 0; row < expected.rows; row++) tokens += rowTable[2 * row]!;
  const idBytes = await sizeOf(idsPath);
  if (idBytes !== tokens * 4) throw broken(idsPath, `${idBytes} bytes`, `${tokens * 4}`);
  if (idBytes > inMemoryBytes) {
    // Open until the process ends; the system keeps in memory what is read often.
    const file = openSync(idsPath, "r");
    return datasetOf((start, end) => readIds(file, start, end - start), rowTable, info.padding);
  }
  // Copied: a small file's buffer is a slice of a shared pool with arbitrary alignment.
  const ids = new Int32Array(new Uint8Array(await readBytes(idsPath)).buffer);
  return tokenDataset(ids, rowTable, info.padding);
}

async function sizeOf(path: string): Promise<number> {
  try {
    return (await stat(path)).size;
  } catch (cause) {
    throw errorCode(cause) === "ENOENT" ? absent(path, cause) : cause;
  }
}
