/** @file Parquet files, a row group in memory at a time, or a part of one that is large. */
import { open, type FileHandle } from "node:fs/promises";
import type { FileMetaData } from "hyparquet";
import { errorMessage } from "../../base/errors.js";
import { ioError } from "../../base/fs.js";
import type { JsonObject } from "../../base/json.js";
import { recogniseForeignContent } from "../../hub/foreign-content.js";
import type { pageLocations } from "./parquet-pages.js";
import { invalidData, notUtf8, plainValue, type SourceRow } from "./row.js";

const MAGIC = "PAR1";

interface OpenParquet {
  file: { byteLength: number; slice(start: number, end?: number): Promise<ArrayBuffer> };
  metadata: FileMetaData;
  close(): Promise<void>;
}

async function openParquet(path: string): Promise<OpenParquet> {
  const handle = await open(path, "r").catch((cause: unknown) => {
    throw ioError("read", path, cause);
  });
  try {
    const { size } = await handle.stat();
    const file = {
      byteLength: size,
      slice: (start: number, end = size) => readRange(handle, start, end),
    };
    const isWhole =
      size > 12 &&
      (await text(file, 0, 4)) === MAGIC &&
      (await text(file, size - 4, size)) === MAGIC;
    if (!isWhole) {
      throw invalidData(`${path}: not a whole parquet file`, [
        `found: ${await described(file)} that do not begin and end with ${MAGIC}`,
        "is it complete? delete it to have it fetched again",
      ]);
    }
    const { parquetMetadataAsync } = await import("hyparquet");
    const metadata = await parquetMetadataAsync(file).catch((cause: unknown) => {
      throw invalidData(`${path}: ${errorMessage(cause)}`, ["expected a parquet file"], cause);
    });
    return { file, metadata, close: () => handle.close() };
  } catch (error) {
    await handle.close();
    throw error;
  }
}

async function described(file: OpenParquet["file"]): Promise<string> {
  const head = Buffer.from(await file.slice(0, Math.min(512, file.byteLength)));
  const foreign = recogniseForeignContent(head);
  return `${file.byteLength} bytes${foreign === undefined ? "" : ` of ${foreign}`}`;
}

async function text(file: OpenParquet["file"], start: number, end: number): Promise<string> {
  return Buffer.from(await file.slice(start, end)).toString("latin1");
}

async function readRange(handle: FileHandle, start: number, end: number): Promise<ArrayBuffer> {
  const bytes = new Uint8Array(end - start);
  for (let at = 0; at < bytes.length;) {
    const { bytesRead } = await handle.read(bytes, at, bytes.length - at, start + at);
    if (bytesRead === 0) throw new Error(`the file ends at byte ${start + at}`);
    at += bytesRead;
  }
  return bytes.buffer;
}

/** How many rows a file says it has. */
export async function countParquetRows(path: string): Promise<number> {
  const { metadata, close } = await openParquet(path);
  await close();
  return Number(metadata.num_rows);
}

/** Stands for a string of a file that is not UTF-8. */
class NotText {
  constructor(readonly bytes: Uint8Array) {}
}

/** Returns the first such string of a value, and the path to it. */
function findNotText(value: unknown, path = ""): { column: string; bytes: Uint8Array } | undefined {
  if (value instanceof NotText) return { column: path, bytes: value.bytes };
  if (typeof value !== "object" || value === null || ArrayBuffer.isView(value)) return undefined;
  for (const [key, item] of Object.entries(value)) {
    const found = findNotText(item, path === "" ? key : `${path}.${key}`);
    if (found !== undefined) return found;
  }
  return undefined;
}

/** Row groups up to this size in memory are read whole, larger ones in parts of about this size. */
const PART_BYTES = 16 << 20;

/** Number of a row group to its columns to their pages. */
type PagesByGroup = Readonly<Record<number, ReturnType<typeof pageLocations>>>;

/** Rows that are read at once: [start, end) of the file. */
interface Part {
  start: number;
  end: number;
  /** Where the pages are, for the library; absent where a row group is read whole. */
  pageLocationsByGroup?: PagesByGroup;
}

/** Yields the parts of a file that hold rows from a number on. */
async function* partsOf(
  { file, metadata }: OpenParquet,
  { from, partBytes }: { from: number; partBytes: number },
): AsyncGenerator<Part> {
  let start = 0;
  for (const [number, group] of metadata.row_groups.entries()) {
    const end = start + Number(group.num_rows);
    if (end > from && Number(group.total_byte_size) <= partBytes) {
      yield { start, end };
    } else if (end > from) {
      const { cutAtPages, findPages, pageLocations } = await import("./parquet-pages.js");
      const pages = await findPages(file, metadata, group);
      const pageLocationsByGroup = { [number]: pageLocations(pages) };
      const starts = cutAtPages(pages, partBytes).map((row) => start + row);
      for (const [i, first] of starts.entries()) {
        const next = starts[i + 1] ?? end;
        if (next > from) yield { start: first, end: next, pageLocationsByGroup };
      }
    }
    start = end;
  }
}

/**
 * Yields the rows from a number on, `path[index]` being where.
 * @param partBytes about how much of a row group is held at a time
 */
export async function* parquetRows(
  path: string,
  from = 0,
  partBytes = PART_BYTES,
): AsyncGenerator<SourceRow> {
  const parquet = await openParquet(path);
  const { file, metadata, close } = parquet;
  const { parquetReadObjects } = await import("hyparquet");
  const { compressors } = await import("hyparquet-compressors");
  const decoder = new TextDecoder("utf-8", { fatal: true });
  // The library's own decoder would write U+FFFD and say nothing.
  let hasNotText = false;
  const stringFromBytes = (bytes: Uint8Array | undefined): unknown => {
    if (bytes === undefined) return undefined;
    try {
      return decoder.decode(bytes);
    } catch {
      hasNotText = true;
      return new NotText(bytes);
    }
  };
  const options = { file, metadata, compressors, parsers: { stringFromBytes } };
  // Where a damage is: no row before this one.
  let at = from;
  try {
    for await (const part of partsOf(parquet, { from, partBytes })) {
      const { start: rowStart, end: rowEnd, ...pages } = part;
      at = Math.max(from, rowStart);
      const rows = await parquetReadObjects({ ...options, ...pages, rowStart, rowEnd });
      if (rows.length !== rowEnd - rowStart) {
        throw new Error(`${rows.length} of ${rowEnd - rowStart} rows are there`);
      }
      for (const row of rows.slice(Math.max(0, from - rowStart))) {
        const where = `${path}[${at++}]`;
        const broken = hasNotText ? findNotText(row) : undefined;
        yield broken === undefined
          ? { value: plainValue(row) as JsonObject, where }
          : notUtf8(where, broken.bytes, broken.column);
      }
    }
  } catch (cause) {
    throw invalidData(
      `${path}: row ${at} or one behind it cannot be read: ${errorMessage(cause)}`,
      ["the file is damaged, or of a kind that cannot be read"],
      cause,
    );
  } finally {
    await close();
  }
}
