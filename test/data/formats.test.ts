/** @file Every file format: rows, counts, and damaged or hostile files. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { RecordBatchStreamWriter, tableFromArrays } from "apache-arrow";
import { parquetWriteBuffer } from "hyparquet-writer";
import { afterAll, expect, test } from "vitest";
import { countFileRows, fileRows } from "../../src/data/formats/file-rows.js";
import type { SourceRow } from "../../src/data/formats/row.js";
import { assetsDirectory, hasAssets } from "../support/assets.js";
import { thrownBy } from "../support/thrown-by.js";

const base = mkdtempSync(join(tmpdir(), "dllm-formats-"));
afterAll(() => rmSync(base, { recursive: true, force: true }));

function put(name: string, content: string | Uint8Array): string {
  const path = join(base, name);
  writeFileSync(path, content);
  return path;
}

async function rowsOf(path: string): Promise<SourceRow[]> {
  const rows: SourceRow[] = [];
  for await (const row of fileRows(path)) rows.push(row);
  expect(await countFileRows(path)).toBe(rows.length);
  return rows;
}

async function errorOf(path: string): Promise<string> {
  const error = await thrownBy(rowsOf(path));
  expect(error.exitCode).toBe(65);
  return error.format().replaceAll(base, "<base>");
}

const wanted = [
  { text: 'a, "b"\nc', n: "1" },
  { text: "é", n: "2" },
];
const jsonl = wanted.map((row) => JSON.stringify(row) + "\n").join("");
const csv = 'text,n\r\n"a, ""b""\nc",1\r\né,2\r\n';

test.each([
  ["rows.jsonl", jsonl],
  ["rows.ndjson", jsonl],
  ["lines.json", jsonl],
  ["rows.json", JSON.stringify(wanted)],
  ["rows.jsonl.gz", gzipSync(jsonl)],
  ["rows.csv", csv],
  ["rows.csv.gz", gzipSync(csv)],
  ["rows.tsv", 'text\tn\n"a, ""b""\nc"\t1\né\t2'],
  [
    "rows.parquet",
    new Uint8Array(
      parquetWriteBuffer({
        columnData: ["text", "n"].map((name) => ({
          name,
          data: wanted.map((row) => row[name as "text" | "n"]),
          type: "STRING" as const,
        })),
        rowGroupSize: 1,
      }),
    ),
  ],
])("%s", async (name, content) => {
  const rows = await rowsOf(put(name, content));
  expect(rows.map(({ value }) => value)).toEqual(wanted);
  expect(rows.every(({ where }) => where.startsWith(join(base, name)))).toBe(true);
});

test("a JSON list, read row by row: what looks like its ends within texts, and what is broken", async () => {
  const rows = [{ text: 'a, ] } " \\\\' }, { text: "é", tags: [["["], {}] }, { text: "" }];
  for (const text of [JSON.stringify(rows), "\uFEFF " + JSON.stringify(rows, null, 2) + "\n"]) {
    const path = put("list.json", text);
    const found = await rowsOf(path);
    expect(found.map(({ value }) => value)).toEqual(rows);
    expect(found[2]!.where).toBe(`${path}[2]`);
  }
  expect(await rowsOf(put("empty.json", " [ \n]"))).toEqual([]);
  // Longer than what is read at once.
  const long = Array.from({ length: 5000 }, (_, i) => ({ text: `${i} `.repeat(i % 60) }));
  const all = await rowsOf(put("long.json", JSON.stringify(long)));
  expect(all.map(({ value }) => value)).toEqual(long);
  const bad = await rowsOf(
    put(
      "bytes.json",
      Buffer.concat([Buffer.from('[1, "'), Buffer.from([0xff]), Buffer.from('"]')]),
    ),
  );
  expect(bad.map(({ problem }) => problem?.message.replaceAll(base, ""))).toEqual([
    expect.stringContaining("/bytes.json[0]: not a JSON object"),
    expect.stringContaining("/bytes.json[1]: not UTF-8"),
  ]);
  expect(await errorOf(put("cut.json", '[{"a":1},{"a"'))).toContain(
    "cut.json[1]: the list breaks off",
  );
  expect(await errorOf(put("comma.json", '[{"a":1},]'))).toContain("comma.json[1]: ");
  expect(await errorOf(put("two.json", "[]\n[]"))).toContain("more behind the list");
  expect(await errorOf(put("void.json", ""))).toContain("void.json: nothing in it");
});

test("arrow streams, as save_to_disk writes them", async () => {
  const table = tableFromArrays({ text: wanted.map(({ text }) => text), n: [1n, 2n].map(Number) });
  const bytes = RecordBatchStreamWriter.writeAll(table).toUint8Array(true);
  const rows = await rowsOf(put("data-00000-of-00001.arrow", bytes));
  expect(rows.map(({ value }) => value)).toEqual([
    { text: wanted[0]!.text, n: 1 },
    { text: "é", n: 2 },
  ]);
});

test("S15: rows that cannot be read are named with their place, and the others are read", async () => {
  const path = put(
    "bad.jsonl",
    Buffer.concat([
      Buffer.from('{"text":"a"}\n'),
      Buffer.from([0x22, 0xff, 0x1b, 0x5b, 0x22, 0x0a]),
      Buffer.from('{"text":\n\n[1]\n{"text":"z"}'),
    ]),
  );
  const rows = await rowsOf(path);
  expect(rows.map(({ problem }) => problem?.format().replaceAll(base, "<base>"))).toEqual([
    undefined,
    '<base>/bad.jsonl:2: not UTF-8 text\n  found: "\\xff\\x1b["\n  convert the file to UTF-8',
    expect.stringMatching(/^<base>\/bad\.jsonl:3: .*JSON/),
    expect.stringContaining("<base>/bad.jsonl:5: not a JSON object"),
    undefined,
  ]);
  expect(rows.at(-1)).toEqual({ value: { text: "z" }, where: `${path}:6` });
  const records = await rowsOf(put("bad.csv", "a,b\n1,2\n3\n4,5\n"));
  expect(records[1]!.problem!.message).toContain("bad.csv[1]: 1 fields, and the header has 2");
});

test("S15: a string of parquet that is not UTF-8 is a bad row, a real U+FFFD is none", async () => {
  const data = [Buffer.from("a"), Buffer.from([0x78, 0xff, 0x1b]), Buffer.from("\ufffd")];
  const columnData = [{ name: "text", data, type: "BYTE_ARRAY" as const }];
  const rows = await rowsOf(put("bytes.parquet", Buffer.from(parquetWriteBuffer({ columnData }))));
  expect(rows.map(({ value }) => value)).toEqual([{ text: "a" }, "", { text: "\ufffd" }]);
  expect(rows[1]!.problem!.format().replaceAll(base, "<base>")).toBe(
    '<base>/bytes.parquet[1]: column "text" is not UTF-8 text\n  found: x\\xff\\x1b\n' +
      "  convert the file to UTF-8",
  );
});

test("a line of 10 MB is a row; a bomb is none", async () => {
  const long = "x".repeat(10 << 20);
  const [row] = await rowsOf(put("long.jsonl", JSON.stringify({ text: long })));
  expect((row!.value as { text: string }).text.length).toBe(long.length);
  const bomb = await errorOf(
    put("bomb.jsonl.gz", gzipSync(`${" ".repeat(1 << 20)}\n`.repeat(100))),
  );
  expect(bomb).toContain("bomb.jsonl.gz: expands to more than 200 times its size");
  const line = await errorOf(put("endless.jsonl", Buffer.alloc(65 << 20, 0x61)));
  expect(line).toContain("endless.jsonl:1: a line of more than 67108864 bytes");
});

test("zstd: a frame that the zstd program wrote, and one that is cut", async () => {
  const frame = Buffer.from("KLUv/QRo1QAAiHsidGV4dCI6ImEifQpiIn0KAgAorhJAm18lOPpS", "base64");
  const rows = await rowsOf(put("real.jsonl.zst", frame));
  expect(rows.map(({ value }) => value)).toEqual([{ text: "a" }, { text: "b".repeat(300) }]);
  expect(await errorOf(put("cut.jsonl.zst", frame.subarray(0, 20)))).toContain(
    "cut.jsonl.zst: cannot be decompressed",
  );
});

test("damaged files", async () => {
  expect(await errorOf(put("cut.jsonl.gz", gzipSync(jsonl).subarray(0, 30)))).toContain(
    "cut.jsonl.gz: cannot be decompressed: unexpected end of file",
  );
  expect(await errorOf(put("no.jsonl.zst", "nothing"))).toContain("no.jsonl.zst: cannot be");
  expect(await errorOf(put("page.parquet", "<!DOCTYPE html><html>sign in</html>"))).toBe(
    "<base>/page.parquet: not a whole parquet file\n" +
      "  found: 35 bytes of a web page (HTML) that do not begin and end with PAR1\n" +
      "  is it complete? delete it to have it fetched again",
  );
  expect(await errorOf(put("quote.csv", 'a\n"open'))).toContain("ends inside quotation marks");
  expect(await errorOf(put("no.arrow", "nothing at all, really"))).toContain("no.arrow");
  expect(await errorOf(put("no.xyz", ""))).toContain("files of this kind cannot be read");
});

test.skipIf(!hasAssets)(
  "real parquet: all rows, equal to the same data as JSON lines",
  async () => {
    const path = join(assetsDirectory, "parquet-samples/gsm8k.parquet");
    const rows = await rowsOf(path);
    expect(rows.length).toBe(7473);
    const original = readFileSync(join(assetsDirectory, "gsm8k/train.jsonl"), "utf8")
      .trimEnd()
      .split("\n")
      .map((line) => (JSON.parse(line) as { question: string }).question);
    const text = JSON.stringify(rows.map(({ value }) => value));
    const found = original.filter((question) =>
      text.includes(JSON.stringify(question).slice(1, -1)),
    );
    expect(found.length).toBeGreaterThan(7000);
    const cut = put("cut.parquet", readFileSync(path).subarray(0, 1_000_000));
    expect(await errorOf(cut)).toContain("not a whole parquet file");
  },
);
