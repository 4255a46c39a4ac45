/**
 * @file Where the pages of a parquet row group are, found by walking their headers: with that a
 * group that is too large for memory is read some rows at a time, page indexes in the file or not.
 * Source: parquet-format 2.11 README.md ("Data Pages", "Nested Encoding"), PageIndex.md.
 */
import type {
  AsyncBuffer,
  ColumnMetaData,
  FileMetaData,
  OffsetIndex,
  RowGroup,
  SchemaTree,
} from "hyparquet";
import { parquetSchema } from "hyparquet";
import { compressors } from "hyparquet-compressors";
import { parquetHeader } from "hyparquet/src/column.js";
import { decompressPage } from "hyparquet/src/datapage.js";
import { readRleBitPackedHybrid } from "hyparquet/src/encoding.js";
import { getMaxRepetitionLevel, getTreePath } from "hyparquet/src/schema.js";

type PageHeader = ReturnType<typeof parquetHeader>;

/** Pages that begin with a row and end with one: mostly one, more where a row goes over the edge. */
export interface PageRun {
  offset: number;
  /** In the file, headers included, and what they are in memory. */
  bytes: number;
  plainBytes: number;
  /** Counted from the beginning of the row group. */
  firstRow: number;
}

/** Most headers are shorter; those with long statistics are read again, eight times as much. */
const HEADER_BYTES = 1 << 12;

/** Returns the pages of each column of a row group, by the column's path joined with dots. */
export async function findPages(
  file: AsyncBuffer,
  metadata: FileMetaData,
  group: RowGroup,
): Promise<Record<string, PageRun[]>> {
  const schema = parquetSchema(metadata);
  const found: Record<string, PageRun[]> = {};
  for (const { meta_data: column } of group.columns) {
    if (column === undefined) throw new Error("a column has no metadata");
    const path = column.path_in_schema;
    found[path.join(".")] = await columnPages(file, column, getTreePath(schema, path));
  }
  return found;
}

/**
 * Cuts a row group into ranges of rows of about so many bytes in memory, at pages of its largest
 * column: no page of that column is read twice.
 * @returns first rows, from 0 on
 */
export function cutAtPages(
  columns: Readonly<Record<string, readonly PageRun[]>>,
  bytes: number,
): number[] {
  const sizeOf = (runs: readonly PageRun[]): number =>
    runs.reduce((sum, { plainBytes }) => sum + plainBytes, 0);
  const total = Object.values(columns).reduce((sum, runs) => sum + sizeOf(runs), 0);
  const largest = Object.values(columns).reduce((a, b) => (sizeOf(b) > sizeOf(a) ? b : a));
  // What the other columns take is spread over the rows of the largest.
  const share = (bytes * sizeOf(largest)) / total;
  const starts: number[] = [];
  let taken = 0;
  for (const { firstRow, plainBytes } of largest) {
    if (starts.length === 0 || taken + plainBytes > share) {
      starts.push(firstRow);
      taken = 0;
    }
    taken += plainBytes;
  }
  return starts;
}

/** Returns pages as the library takes them from an index in the file. */
export function pageLocations(
  columns: Readonly<Record<string, readonly PageRun[]>>,
): Record<string, OffsetIndex["page_locations"]> {
  return Object.fromEntries(
    Object.entries(columns).map(([path, runs]) => [
      path,
      runs.map(({ offset, bytes, firstRow }) => ({
        offset: BigInt(offset),
        compressed_page_size: bytes,
        first_row_index: BigInt(firstRow),
      })),
    ]),
  );
}

async function columnPages(
  file: AsyncBuffer,
  column: ColumnMetaData,
  schemaPath: SchemaTree[],
): Promise<PageRun[]> {
  const isRepeated = getMaxRepetitionLevel(schemaPath) > 0;
  const runs: PageRun[] = [];
  let offset = Number(column.dictionary_page_offset ?? column.data_page_offset);
  const end = offset + Number(column.total_compressed_size);
  let row = 0;
  while (offset < end) {
    const { header, headerBytes } = await readHeader(file, offset, end);
    const bytes = headerBytes + header.compressed_page_size;
    if (offset + bytes > end) throw new Error(`the page at byte ${offset} does not end`);
    const rows = isRepeated
      ? await repeatedRows(file, { column, schemaPath, header, start: offset + headerBytes })
      : flatRows(header);
    if (rows !== undefined) {
      const plainBytes = header.uncompressed_page_size;
      const last = runs.at(-1);
      if (rows.continues && last !== undefined) {
        last.bytes += bytes;
        last.plainBytes += plainBytes;
      } else {
        runs.push({ offset, bytes, plainBytes, firstRow: row });
      }
      row += rows.begun;
    }
    offset += bytes;
  }
  return runs;
}

async function readHeader(
  file: AsyncBuffer,
  offset: number,
  end: number,
): Promise<{ header: PageHeader; headerBytes: number }> {
  for (let length = HEADER_BYTES; ; length *= 8) {
    const bytes = await file.slice(offset, Math.min(end, offset + length));
    const reader = { view: new DataView(bytes), offset: 0 };
    try {
      return { header: parquetHeader(reader), headerBytes: reader.offset };
    } catch (error) {
      // A header that goes on behind what was read.
      if (!(error instanceof RangeError) || offset + length >= end) throw error;
    }
  }
}

/** Rows that a page begins, and whether its first value belongs to the row before. */
interface PageRows {
  begun: number;
  continues: boolean;
}

/** Of a column with one value per row; undefined for pages that hold no rows. */
function flatRows({ data_page_header: v1, data_page_header_v2: v2 }: PageHeader) {
  const begun = v1?.num_values ?? v2?.num_rows;
  return begun === undefined ? undefined : { begun, continues: false };
}

/** Of a column of lists: a row begins where the repetition level is 0. */
async function repeatedRows(
  file: AsyncBuffer,
  {
    column,
    schemaPath,
    header,
    start,
  }: { column: ColumnMetaData; schemaPath: SchemaTree[]; header: PageHeader; start: number },
): Promise<PageRows | undefined> {
  const { data_page_header: v1, data_page_header_v2: v2 } = header;
  // Pages of the second version begin with a row, and say how many they have.
  if (v1 === undefined) return v2 && { begun: v2.num_rows, continues: false };
  const bytes = new Uint8Array(await file.slice(start, start + header.compressed_page_size));
  const plainBytes = header.uncompressed_page_size;
  const page = decompressPage(bytes, plainBytes, column.codec, compressors);
  const levels = new Uint8Array(v1.num_values);
  const reader = { view: new DataView(page.buffer, page.byteOffset, page.byteLength), offset: 0 };
  const bits = 32 - Math.clz32(getMaxRepetitionLevel(schemaPath));
  readRleBitPackedHybrid(reader, bits, levels);
  return {
    begun: levels.reduce((count, level) => count + (level === 0 ? 1 : 0), 0),
    continues: levels[0] !== 0,
  };
}
