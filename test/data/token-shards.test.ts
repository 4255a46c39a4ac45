import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { TokenShards, writeShard } from "../../src/data/token-shards.js";
import type { TokenizedBatch } from "../../src/data/tokenize-rows.js";

const base = mkdtempSync(join(tmpdir(), "dllm-shards-"));
afterAll(() => rmSync(base, { recursive: true, force: true }));

/** Row i has i % 7 ids, each of them i; its other fields tell it apart too. */
function batchOf(first: number, count: number): TokenizedBatch {
  const numbers = Array.from({ length: count }, (_, i) => first + i);
  return {
    ids: Int32Array.from(numbers.flatMap((i) => Array.from({ length: i % 7 }, () => i))),
    rows: Uint32Array.from(numbers.flatMap((i) => [i % 7, i + 1, i + 2, i % 5])),
  };
}

test("rows of shards on disk and of batches in memory, in any order", async () => {
  await writeShard(base, [batchOf(0, 63), batchOf(63, 130)]);
  const shards = new TokenShards();
  shards.addDirectory(base);
  shards.addBatches([batchOf(193, 64), batchOf(257, 65)]);
  try {
    expect(shards.rows).toBe(322);
    for (let step = 0; step < 322; step++) {
      const i = (step * 101) % 322;
      const { length, promptLength, all, state, ids } = shards.row(i);
      expect([length, promptLength, all, state]).toEqual([i % 7, i + 1, i + 2, i % 5]);
      expect([...ids()]).toEqual(Array.from({ length: i % 7 }, () => i));
    }
  } finally {
    shards.close();
  }
});
