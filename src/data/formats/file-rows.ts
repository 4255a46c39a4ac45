/** @file The rows of a data file of any kind that can be read, by its ending. */
import { arrowRows, countArrowRows } from "./arrow.js";
import { formatOf } from "./bytes.js";
import { csvRows } from "./csv.js";
import { jsonList } from "./json-list.js";
import { countJsonLines, hasJsonLines, jsonLines, paragraphs } from "./lines.js";
import { countParquetRows, parquetRows } from "./parquet.js";
import { invalidData, type SourceRow } from "./row.js";

interface Format {
  rows(path: string): AsyncGenerator<SourceRow>;
  /** Where the rows before can be passed over without reading them. */
  rowsFrom?(path: string, from: number): AsyncGenerator<SourceRow>;
  /** Where counting is quicker than reading. */
  count?(path: string): Promise<number>;
}

const formats: Readonly<Record<string, Format>> = {
  ".parquet": { rows: parquetRows, rowsFrom: parquetRows, count: countParquetRows },
  ".jsonl": { rows: jsonLines, count: countJsonLines },
  ".ndjson": { rows: jsonLines, count: countJsonLines },
  ".json": { rows: jsonRows },
  ".csv": { rows: (path) => csvRows(path, ",") },
  ".tsv": { rows: (path) => csvRows(path, "\t") },
  ".arrow": { rows: arrowRows, count: countArrowRows },
  ".txt": { rows: paragraphs },
};

async function* jsonRows(path: string): AsyncGenerator<SourceRow> {
  yield* (await hasJsonLines(path)) ? jsonLines(path) : jsonList(path);
}

/** The endings that can be read; text formats also with `.gz` or `.zst` behind. */
export const readableEndings = Object.keys(formats);

const WITHOUT_COMPRESSION = [".parquet", ".arrow"];

/** Whether a file of this name can be read. */
export function isReadable(path: string): boolean {
  const format = formatOf(path);
  if (!Object.hasOwn(formats, format)) return false;
  return !WITHOUT_COMPRESSION.includes(format) || path.toLowerCase().endsWith(format);
}

function formatFor(path: string): Format {
  const format = isReadable(path) ? formats[formatOf(path)] : undefined;
  if (format !== undefined) return format;
  throw invalidData(`${path}: files of this kind cannot be read`, [
    `expected ${readableEndings.join(", ")}`,
  ]);
}

/**
 * Yields the rows of a file in order, in bounded memory, from row number `from` on. A row that cannot be read is yielded with
 * its problem, so that rows keep their numbers.
 * @throws DllmError 66 when the file is gone, 65 when it is damaged as a whole
 */
export async function* fileRows(path: string, from = 0): AsyncGenerator<SourceRow> {
  const { rows, rowsFrom } = formatFor(path);
  if (rowsFrom !== undefined) {
    yield* rowsFrom(path, from);
    return;
  }
  let index = 0;
  for await (const row of rows(path)) if (index++ >= from) yield row;
}

/** Returns how many rows fileRows yields. */
export async function countFileRows(path: string): Promise<number> {
  const { rows, count } = formatFor(path);
  if (count !== undefined) return count(path);
  let counted = 0;
  for await (const row of rows(path)) counted += row === undefined ? 0 : 1;
  return counted;
}
