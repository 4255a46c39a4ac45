import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parquetWriteBuffer } from "hyparquet-writer";
import { afterAll, expect, test } from "vitest";
import { cutAtPages, type PageRun } from "../../src/data/formats/parquet-pages.js";
import { parquetRows } from "../../src/data/formats/parquet.js";

const base = mkdtempSync(join(tmpdir(), "dllm-pages-"));
afterAll(() => rmSync(base, { recursive: true, force: true }));

async function read(path: string, from?: number, partBytes?: number) {
  const rows = [];
  for await (const { value, where } of parquetRows(path, from, partBytes)) {
    rows.push({ value, where: where.slice(path.length) });
  }
  return rows;
}

/** As the fixture was written, by pyarrow 25: pages of 400 bytes, of the first version. */
const turns = (i: number) => {
  if (i % 17 === 0) return null;
  if (i % 13 === 0) return [];
  return Array.from({ length: i % 30 }, (_, j) => ({
    role: j % 2 === 0 ? "user" : "assistant",
    content: (i + j) % 23 === 0 ? null : `${i}.${j} ` + "word ".repeat(j % 5),
  }));
};
const nested = fileURLToPath(new URL("./fixtures/rows-across-pages.parquet", import.meta.url));
const wanted = Array.from({ length: 120 }, (_, i) => ({
  value: { id: i % 7 === 0 ? null : i, messages: turns(i) },
  where: `[${i}]`,
}));

test.each([1, 300, 1000, 4000, Infinity])(
  "rows that go over the edges of pages, in parts of %d bytes, from any row on",
  async (partBytes) => {
    for (const from of [0, 1, 29, 59, 119, 120]) {
      expect(await read(nested, from, partBytes)).toEqual(wanted.slice(from));
    }
  },
);

test.each(["UNCOMPRESSED", "SNAPPY"] as const)(
  "flat columns of one large row group, %s: the same rows in parts",
  async (codec) => {
    const path = join(base, `flat-${codec}.parquet`);
    const rows = Array.from({ length: 3000 }, (_, i) => ({
      text: `row ${i} ` + "and more ".repeat(i % 40),
      source: ["a", "b"][i % 2]!,
    }));
    const columnData = (["text", "source"] as const).map((name) => ({
      name,
      data: rows.map((row) => row[name]),
      type: "STRING" as const,
    }));
    const bytes = parquetWriteBuffer({ columnData, codec, rowGroupSize: 3000, pageSize: 5000 });
    writeFileSync(path, new Uint8Array(bytes));
    for (const partBytes of [1, 20_000, Infinity]) {
      const found = await read(path, 1234, partBytes);
      expect(found.map(({ value }) => value)).toEqual(rows.slice(1234));
    }
  },
);

const page = (firstRow: number, plainBytes: number): PageRun => ({
  offset: 0,
  bytes: plainBytes,
  plainBytes,
  firstRow,
});

test("parts begin at pages of the largest column, and hold about so many bytes", () => {
  const text = [0, 10, 20, 30, 40].map((row) => page(row, 100));
  expect(cutAtPages({ text }, 200)).toEqual([0, 20, 40]);
  expect(cutAtPages({ text }, 1)).toEqual([0, 10, 20, 30, 40]);
  // The other column takes half of the memory.
  expect(cutAtPages({ text, id: [page(0, 500)] }, 200)).toEqual([0, 10, 20, 30, 40]);
  expect(cutAtPages({ text }, Infinity)).toEqual([0]);
});

test("a page that is larger than a part is read once", () => {
  expect(cutAtPages({ text: [page(0, 10_000)] }, 200)).toEqual([0]);
});
