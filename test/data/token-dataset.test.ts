/** @file Token datasets on disk, and collation of what the golden batches leave open. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { collate } from "../../src/data/collate.js";
import {
  openTokenDataset,
  readDatasetInfo,
  tokenDatasetOf,
  writeDatasetInfo,
  writeTokenSplit,
  type DatasetInfo,
} from "../../src/data/token-dataset.js";

const directory = mkdtempSync(join(tmpdir(), "dllm-tokens-"));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

const rows = [
  { ids: [5, 6, 7, 8], promptLength: 2 },
  { ids: [9], promptLength: 0 },
  { ids: [1, 2, 3], promptLength: 3 },
];
const info: DatasetInfo = {
  schema: 1,
  task: "chat",
  splits: { train: { rows: 3, tokens: 8 } },
  padding: "trainable",
  max_length: 4,
  vocab_size: 10,
  pad_id: 0,
};

test("what is written is read, in the documented bytes", async () => {
  await writeTokenSplit(directory, "train", rows);
  await writeDatasetInfo(directory, info);
  expect(await readDatasetInfo(directory)).toEqual(info);
  const dataset = await openTokenDataset(directory, "train");
  expect(dataset).toMatchObject({ rows: 3, padding: "trainable" });
  expect(dataset.lengths).toEqual(Uint32Array.of(4, 1, 3));
  rows.forEach((row, i) => {
    expect(Array.from(dataset.ids(i))).toEqual(row.ids);
    expect([dataset.length(i), dataset.promptLength(i)]).toEqual([
      row.ids.length,
      row.promptLength,
    ]);
  });
  const table = readFileSync(join(directory, "train.rows.bin"));
  expect(Array.from({ length: 6 }, (_, i) => table.readUInt32LE(4 * i))).toEqual([
    4, 2, 1, 0, 3, 3,
  ]);
  expect(readFileSync(join(directory, "train.ids.bin")).readInt32LE(4 * 4)).toBe(9);
});

test("what is missing or cut short is named", async () => {
  await writeTokenSplit(directory, "train", rows);
  await writeDatasetInfo(directory, info);
  await expect(openTokenDataset(directory, "test")).rejects.toMatchObject({
    exitCode: 66,
    message: `${directory}: no split "test"`,
    details: ["found: train"],
  });
  const ids = readFileSync(join(directory, "train.ids.bin"));
  writeFileSync(join(directory, "train.ids.bin"), ids.subarray(0, 30));
  await expect(openTokenDataset(directory, "train")).rejects.toMatchObject({
    exitCode: 65,
    message: `${join(directory, "train.ids.bin")}: 30 bytes, expected 32`,
  });
  await expect(readDatasetInfo(join(directory, "nowhere"))).rejects.toMatchObject({ exitCode: 66 });
  await writeDatasetInfo(directory, { ...info, schema: 2 } as unknown as DatasetInfo);
  await expect(readDatasetInfo(directory)).rejects.toThrow("schema is 2, expected 1");
});

test("padding that is trained: attended to, maskable, and the row's prompt is not", () => {
  const batch = collate(tokenDatasetOf(rows, "trainable"), [2, 0], 0);
  expect(batch).toEqual({
    batch: 2,
    seq: 4,
    inputIds: Int32Array.of(1, 2, 3, 0, 5, 6, 7, 8),
    maskable: Uint8Array.of(0, 0, 0, 1, 0, 0, 1, 1),
  });
});

test("padding that is hidden: a mask only where a row is short", () => {
  const dataset = tokenDatasetOf(rows, "masked");
  expect(collate(dataset, [1, 2], 0)).toEqual({
    batch: 2,
    seq: 3,
    inputIds: Int32Array.of(9, 0, 0, 1, 2, 3),
    maskable: Uint8Array.of(1, 0, 0, 0, 0, 0),
    attentionMask: Uint8Array.of(1, 0, 0, 1, 1, 1),
  });
  expect(collate(dataset, [0, 0], 0).attentionMask).toBeUndefined();
});
