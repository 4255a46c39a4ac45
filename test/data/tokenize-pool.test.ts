/** @file Threads: whatever their number, the same tokens in the same order; errors come back. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { bpeTokenizerFiles, trainBpe } from "../../src/data/bpe-trainer.js";
import { openTokenizePool } from "../../src/data/tokenize-pool.js";
import type { TokenizeSettings } from "../../src/data/tokenize-rows.js";
import { bundle } from "../support/bundle.js";

const base = mkdtempSync(join(tmpdir(), "dllm-pool-"));
afterAll(() => rmSync(base, { recursive: true, force: true }));
const texts = Array.from({ length: 40 }, (_, i) => `text number ${i}, `.repeat(1 + (i % 7)));

test("one thread and three give the same batches", async () => {
  const directory = join(base, "tokenizer");
  mkdirSync(directory);
  for (const [file, content] of Object.entries(bpeTokenizerFiles(trainBpe(texts, 300)))) {
    writeFileSync(join(directory, file), JSON.stringify(content));
  }
  const script = await bundle("src/data/tokenize-worker.ts");
  const settings: TokenizeSettings = { task: "text", insertEos: true };
  const run = async (threads: number) => {
    const pool = await openTokenizePool({ directory, settings, threads, script });
    expect(pool.threads).toBe(threads);
    const batches = await Promise.all(
      Array.from({ length: 8 }, (_, i) => pool.run(texts.slice(5 * i, 5 * i + 5))),
    );
    await pool.close();
    return batches;
  };
  const alone = await run(1);
  expect(await run(3)).toEqual(alone);
  expect(alone.flatMap(({ ids }) => [...ids]).length).toBeGreaterThan(500);

  const settingsOfChat: TokenizeSettings = {
    task: "chat",
    maskPromptLoss: true,
    maxLength: 8,
    truncation: "right",
  };
  const pool = await openTokenizePool({ directory, settings: settingsOfChat, threads: 2, script });
  await expect(pool.run([[]])).rejects.toMatchObject({
    exitCode: 65,
    message: "chat template: the list of messages is empty",
  });
  await pool.close();
});
