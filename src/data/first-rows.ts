/**
 * @file The first rows of a large file on the hub, without the rest of it: of parquet the footer
 * and the row groups that hold them, of JSON lines the first bytes. For a preview only: a part of a
 * file cannot be verified. Whatever is out of the ordinary is left to reading the whole file.
 */
import { constants, gunzipSync } from "node:zlib";
import { DllmError } from "../base/errors.js";
import type { JsonObject } from "../base/json.js";
import type { Hub } from "../hub/hub.js";
import { fetchRange } from "../hub/range.js";
import type { HubFile, PinnedRepository } from "../hub/repository.js";
import { formatOf } from "./formats/bytes.js";
import { jsonRow } from "./formats/lines.js";
import { plainValue, type SourceRow } from "./formats/row.js";

// What is not larger is as well downloaded, verified, and in the cache for training.
const SMALL_BYTES = 16 << 20;
const FIRST_BYTES = 1 << 20;
const LARGEST_TEXT_BYTES = 256 << 20;
// It is held in memory.
const LARGEST_PART_BYTES = 256 << 20;

/** Returns bytes of the file. */
type Fetch = (start: number, end: number) => Promise<Buffer>;

/** Parts are not to be had, or no longer worth it. */
class NotInParts extends Error {}

/**
 * Returns the first rows of a file that has more.
 * @returns undefined where they are not to be had without most of the file
 * @throws DllmError 66, 69, 77 when the hub does not give it
 */
export async function firstRows(
  hub: Hub,
  { repository, file, rows }: { repository: PinnedRepository; file: HubFile; rows: number },
): Promise<SourceRow[] | undefined> {
  const read = readers[formatOf(file.path)];
  if (read === undefined || file.bytes <= SMALL_BYTES || file.path.endsWith(".zst"))
    return undefined;
  let fetched = 0;
  const fetch: Fetch = async (start, end) => {
    fetched += end - start;
    if (fetched > Math.min(file.bytes / 2, LARGEST_PART_BYTES)) throw new NotInParts();
    const bytes = await fetchRange(hub, repository, file, { start, end });
    if (bytes === undefined) throw new NotInParts();
    return bytes;
  };
  try {
    return await read(file, fetch, rows);
  } catch (error) {
    if (error instanceof NotInParts) return undefined;
    throw error;
  }
}

const readers: Readonly<
  Record<string, (file: HubFile, fetch: Fetch, rows: number) => Promise<SourceRow[]>>
> = { ".parquet": firstOfParquet, ".jsonl": firstLines, ".ndjson": firstLines };

async function firstOfParquet(file: HubFile, fetch: Fetch, count: number): Promise<SourceRow[]> {
  const { parquetMetadataAsync, parquetReadObjects } = await import("hyparquet");
  const { compressors } = await import("hyparquet-compressors");
  const buffer = {
    byteLength: file.bytes,
    async slice(start: number, end = file.bytes): Promise<ArrayBuffer> {
      return new Uint8Array(await fetch(start, end)).buffer;
    },
  };
  const decoder = new TextDecoder("utf-8", { fatal: true });
  const parsers = {
    stringFromBytes: (bytes: Uint8Array | undefined) => bytes && decoder.decode(bytes),
  };
  const metadata = await ordinary(parquetMetadataAsync(buffer));
  if (count >= Number(metadata.num_rows)) throw new NotInParts();
  const range = { rowStart: 0, rowEnd: count };
  const options = { file: buffer, metadata, compressors, parsers, ...range };
  const rows = await ordinary(parquetReadObjects(options));
  if (rows.length !== count) throw new NotInParts();
  return rows.map((row, i) => ({
    value: plainValue(row) as JsonObject,
    where: `${file.path}[${i}]`,
  }));
}

/** What is wrong with a file is said by the code that reads it for training. */
async function ordinary<T>(reading: Promise<T>): Promise<T> {
  return reading.catch((error: unknown) => {
    throw error instanceof DllmError ? error : new NotInParts();
  });
}

async function firstLines(file: HubFile, fetch: Fetch, count: number): Promise<SourceRow[]> {
  let bytes = Buffer.alloc(0);
  for (;;) {
    const end = Math.min(file.bytes, Math.max(FIRST_BYTES, 2 * bytes.length));
    bytes = Buffer.concat([bytes, await fetch(bytes.length, end)]);
    const content = file.path.endsWith(".gz") ? beginningOfGzip(bytes) : bytes;
    const whole = content.subarray(0, content.lastIndexOf("\n") + 1);
    const rows: SourceRow[] = [];
    for (const [i, line] of decoded(whole).split("\n").entries()) {
      if (rows.length === count) return rows;
      if (line.trim() !== "") rows.push(jsonRow(line, `${file.path}:${i + 1}`));
    }
  }
}

function decoded(bytes: Buffer): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    throw new NotInParts();
  }
}

function beginningOfGzip(bytes: Buffer): Buffer {
  try {
    return gunzipSync(bytes, {
      finishFlush: constants.Z_SYNC_FLUSH,
      maxOutputLength: LARGEST_TEXT_BYTES,
    });
  } catch {
    throw new NotInParts();
  }
}
