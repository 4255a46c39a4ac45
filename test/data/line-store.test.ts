import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { LineStore } from "../../src/data/line-store.js";

const directory = mkdtempSync(join(tmpdir(), "dllm-lines-"));
afterAll(() => rmSync(directory, { recursive: true }));

test("lines come back in any order, and leave nothing behind", async () => {
  const store = new LineStore(join(directory, "lines"));
  const lines = ["é🙂", "", "x".repeat(100_000), "last"];
  for (const [i, line] of lines.entries()) store.add(10 * i, line);
  for (const i of [2, 0, 3, 1]) {
    expect(Buffer.from(store.get(10 * i)).toString()).toBe(`${lines[i]}\n`);
  }
  store.add(99, "more");
  expect(Buffer.from(store.get(99)).toString()).toBe("more\n");
  await store.close();
  expect(readdirSync(directory)).toEqual([]);
  await new LineStore(join(directory, "unused")).close();
  expect(readdirSync(directory)).toEqual([]);
});
