/**
 * @file Data that is damaged or hostile, by the rows of the fault matrix: what the prepare stage
 * says, and with which exit code. What happens on the way from the hub: test/hub/faults.test.ts.
 */
import {
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { parquetWriteBuffer } from "hyparquet-writer";
import { afterAll, beforeAll, expect, test } from "vitest";
import { DllmError } from "../../src/base/errors.js";
import { stableRows } from "../../src/data/open-source.js";
import { pinSource } from "../../src/data/sources.js";
import type { SourceParams } from "../../src/plan/params.js";
import { run } from "../../src/stages/prepare.js";
import { checkpointsIn, stageContext } from "../support/stage-context.js";
import { writeByteTokenizer } from "../support/model-directory.js";

const base = mkdtempSync(join(tmpdir(), "dllm-hostile-"));
const tokenizer = join(base, "tokenizer");
const at = (file: string): string => join(base, file);
const put = (file: string, content: string | Uint8Array): void => {
  mkdirSync(join(at(file), ".."), { recursive: true });
  writeFileSync(at(file), content);
};
beforeAll(() => writeByteTokenizer(tokenizer));
afterAll(() => rmSync(base, { recursive: true, force: true }));

const lines = (rows: number): string =>
  Array.from({ length: rows }, (_, i) => `{"text": "row ${i}"}\n`).join("");
const parquet = (data: readonly unknown[], type?: "BYTE_ARRAY"): Buffer =>
  Buffer.from(
    parquetWriteBuffer({ columnData: [{ name: "text", data: [...data], ...(type && { type }) }] }),
  );
const whole = parquet(Array.from({ length: 100 }, (_, i) => `row ${i}`));

let outputs = 0;
/** Prepares a dataset; `meanwhile` is done after it was pinned. */
async function prepare(
  name: string,
  {
    meanwhile = () => undefined,
    ...settings
  }: Record<string, unknown> & { meanwhile?: () => void },
): Promise<string> {
  try {
    const { location, files } = await pinSource({ name, options: {} }, { baseDirectory: base });
    meanwhile();
    const source: SourceParams = { name, options: {}, files };
    const outputDirectory = at(`output-${outputs++}`);
    const params = {
      task: "text",
      sources: [source],
      text_field: "text",
      max_length: 8,
      insert_eos: true,
      drop_tail: true,
      test_fraction: 0,
      on_bad_row: "error",
      max_bad_row_ratio: 0.01,
      seed: 42,
      ...settings,
    };
    const context = stageContext(
      { kind: "prepare", params, locations: { [name]: location }, inputs: { tokenizer } },
      { outputDirectory, checkpoints: checkpointsIn(at(`checkpoints-${outputs}`)) },
    );
    await run(context);
    return "0";
  } catch (error) {
    if (!(error instanceof DllmError)) throw error;
    return `${error.exitCode} ${[error.message, ...error.details].join("\n").replaceAll(base, "<base>")}`;
  }
}

interface Fault {
  name: string;
  content?: Record<string, string | Uint8Array>;
  settings?: Parameters<typeof prepare>[1];
  /** Exit code and message. */
  says: RegExp;
}

const faults: Record<string, Fault> = {
  "S15 a parquet shard that is cut off": {
    name: "cut.parquet",
    content: { "cut.parquet": whole.subarray(0, whole.length - 20) },
    says: /^65 <base>\/cut\.parquet: not a whole parquet file\nfound: \d+ bytes that do not begin and end with PAR1/,
  },
  "S15 a compressed shard that is cut off": {
    name: "cut.jsonl.gz",
    content: { "cut.jsonl.gz": gzipSync(lines(500)).subarray(0, 200) },
    says: /^65 <base>\/cut\.jsonl\.gz: cannot be decompressed: unexpected end of file/,
  },
  "S15 a shard of a series is missing": {
    name: "series",
    content: { "series/data/train-00000-of-00002.jsonl": lines(3) },
    says: /^65 dataset series: shards are missing\nfound: 1 of 2 files/,
  },
  "S15 a shard has gone since it was pinned": {
    name: "gone.jsonl",
    content: { "gone.jsonl": lines(3) },
    settings: { meanwhile: () => renameSync(at("gone.jsonl"), at("elsewhere")) },
    says: /^66 .*gone\.jsonl/,
  },
  "S15 a shard has changed since it was pinned": {
    name: "changed.jsonl",
    content: { "changed.jsonl": lines(3) },
    settings: { meanwhile: () => put("changed.jsonl", lines(4)) },
    says: /^65 <base>\/changed\.jsonl.*changed/,
  },
  "S15 a line is not UTF-8": {
    name: "latin.jsonl",
    content: { "latin.jsonl": Buffer.from('{"text": "caf\xe9"}\n', "latin1") },
    says: /^65 <base>\/latin\.jsonl:1: not UTF-8 text\nfound: \{"text": "caf\\xe9"\}/,
  },
  "S15 a string of parquet is not UTF-8": {
    name: "latin.parquet",
    content: { "latin.parquet": parquet([Buffer.from("a"), Buffer.from([0xe9])], "BYTE_ARRAY") },
    says: /^65 <base>\/latin\.parquet\[1\]: column "text" is not UTF-8 text\nfound: \\xe9/,
  },
  "S15 other columns than asked for": {
    name: "columns.jsonl",
    content: { "columns.jsonl": '{"body": "a", "title": "b"}\n' },
    says: /^65 <base>\/columns\.jsonl:1: no text in field "text"\nfound: body, title\nset text_field/,
  },
  "S15 more bad rows than the recipe allows": {
    name: "dirty.jsonl",
    content: { "dirty.jsonl": `${lines(9)}{"text": 1}\n` },
    settings: { on_bad_row: "skip", max_bad_row_ratio: 0.05 },
    says: /^65 dataset "dirty\.jsonl": 1 of 10 rows are bad\nexpected at most 5 %/,
  },
  "S15 as many bad rows as it allows": {
    name: "dirty.jsonl",
    content: { "dirty.jsonl": `${lines(9)}{"text": 1}\n` },
    settings: { on_bad_row: "skip", max_bad_row_ratio: 0.1 },
    says: /^0$/,
  },
  "N6 a web page in place of parquet": {
    name: "page.parquet",
    content: { "page.parquet": "<!doctype html><html>sign in</html>" },
    says: /^65 <base>\/page\.parquet: not a whole parquet file\nfound: 35 bytes of a web page/,
  },
  "N6 a web page in place of JSON lines": {
    name: "page.jsonl",
    content: { "page.jsonl": "<html><body>sign in</body></html>" },
    says: /^65 <base>\/page\.jsonl: not the data itself\nfound: a web page \(HTML\)/,
  },
  "N6 a Git LFS pointer, as in a clone without its large files": {
    name: "pointer.txt",
    content: {
      "pointer.txt": `version https://git-lfs.github.com/spec/v1\noid sha256:${"0".repeat(64)}\nsize 9\n`,
    },
    says: /^65 <base>\/pointer\.txt: not the data itself\nfound: a Git LFS pointer.*\n.*git lfs pull/,
  },
  "N6 a text about HTML is a text": {
    name: "page.txt",
    content: { "page.txt": "<html> is how a page begins, and so does this text." },
    says: /^0$/,
  },
  "N6 a gzip bomb": {
    name: "bomb.jsonl.gz",
    content: { "bomb.jsonl.gz": gzipSync(`${" ".repeat(1 << 20)}\n`.repeat(100)) },
    says: /^65 <base>\/bomb\.jsonl\.gz: expands to more than 200 times its size/,
  },
  "I8 a path out of a package": {
    name: "npm:yaml/../../secret.txt",
    says: /^65 "npm:yaml\/\.\.\/\.\.\/secret\.txt" is not npm:<package>/,
  },
  "I8 files out of the folder, by its own description": {
    name: "escaping",
    content: {
      "secret.jsonl": lines(3),
      "escaping/README.md":
        "---\nconfigs:\n- config_name: default\n  data_files: ../secret.jsonl\n---\n",
    },
    says: /^65 dataset "escaping": nothing to read in the folder/,
  },
  "I10 a row of 10 MB": {
    name: "long.jsonl",
    content: { "long.jsonl": JSON.stringify({ text: "word ".repeat(2 << 20) }) },
    says: /^0$/,
  },
  "I10 a line without end": {
    name: "endless.jsonl",
    content: { "endless.jsonl": Buffer.alloc(65 << 20, 0x61) },
    says: /^65 <base>\/endless\.jsonl:1: a line of more than 67108864 bytes/,
  },
  "I10 control characters in a row that is bad": {
    name: "escape.jsonl",
    content: { "escape.jsonl": Buffer.from([0x1b, 0x5d, 0x35, 0x32, 0xff, 0x0a]) },
    says: /^65 <base>\/escape\.jsonl:1: not UTF-8 text\nfound: \\x1b\]52\\xff\n/,
  },
};

test.each(Object.entries(faults))(
  "%s",
  async (_, { name, content = {}, settings = {}, says }) => {
    for (const [file, bytes] of Object.entries(content)) put(file, bytes);
    expect(await prepare(name, settings)).toMatch(says);
  },
  60_000,
);

// The matrix asks for a warning and no caching; but what was read may be half of one version and
// half of another, so the stage fails and nothing is published.
test("S16 a shard that changes while it is read: 65", async () => {
  put("moving.jsonl", lines(50));
  const rows = stableRows(at("moving.jsonl"));
  await rows.next();
  put("moving.jsonl", readFileSync(at("moving.jsonl"), "utf8").replace("row 49", "row 50"));
  utimesSync(at("moving.jsonl"), 1, 1);
  const rest = async () => {
    for await (const row of rows) expect(row.problem).toBeUndefined();
  };
  await expect(rest()).rejects.toMatchObject({
    exitCode: 65,
    message: `${at("moving.jsonl")}: changed while it was read`,
  });
});
