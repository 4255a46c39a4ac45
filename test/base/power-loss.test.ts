/** @file Loss of power at any instant: what was promised is there, and nothing is half there. */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import {
  publishDirectory,
  readJson,
  sha256,
  verifyDirectory,
  writeFile,
  writeFileAtomic,
} from "../../src/base/fs.js";
import { openJsonLines, readJsonLines } from "../../src/base/json-lines.js";
import { readCheckpoints } from "../../src/base/checkpoint-directory.js";
import { openCheckpoints } from "../../src/stages/checkpoints.js";
import { everyPowerLoss } from "../support/power-loss.js";
import { writeTask } from "./fixtures/write-task.js";

test("a published directory is absent, or complete; and there once it was published", async () => {
  const states = await everyPowerLoss({
    async action(root, promise) {
      await publishDirectory({ target: join(root, "deep", "artifact") }, async (inside) => {
        await writeFile(join(inside, "weights.bin"), [Buffer.alloc(8, "1"), Buffer.alloc(8, "2")]);
        await writeFile(join(inside, "vocab.json"), '{"a":1}');
      });
      promise("published");
    },
    async check(root, promised) {
      const target = join(root, "deep", "artifact");
      if (promised.has("published") || existsSync(target)) {
        const { files } = await verifyDirectory(target, { hash: true });
        expect(Object.keys(files)).toEqual(["vocab.json", "weights.bin"]);
      }
    },
  });
  expect(states).toBeGreaterThan(20);
});

test("of nested directories too", async () => {
  const states = await everyPowerLoss(
    {
      action: (root) => writeTask("publish", root),
      async check(root) {
        const target = join(root, "artifact");
        if (existsSync(target)) await verifyDirectory(target, { hash: true });
      },
    },
    { limit: 500 },
  );
  expect(states).toBeGreaterThan(20);
});

test("a replaced file has the old content or the new; and the new once it was written", async () => {
  const states = await everyPowerLoss({
    before: (root) => writeFileSync(join(root, "state.json"), '{"version":1}'),
    async action(root, promise) {
      for (const version of [2, 3]) {
        await writeFileAtomic(join(root, "state.json"), `{"version":${version}}`);
        promise(String(version));
      }
    },
    check(root, promised) {
      const { version } = readJson(join(root, "state.json")) as { version: number };
      expect([1, 2, 3]).toContain(version);
      expect(version).toBeGreaterThanOrEqual(Math.max(1, ...[...promised].map(Number)));
    },
  });
  expect(states).toBeGreaterThan(10);
});

test("of checkpoints, the newest that was saved can be resumed, and two stay", async () => {
  const save = (root: string) =>
    openCheckpoints(join(root, "stage", "checkpoints"), {
      elapsedSeconds: () => 1,
      report: () => undefined,
    });
  const states = await everyPowerLoss(
    {
      async action(root, promise) {
        const checkpoints = save(root);
        for (const step of [1, 2, 3, 4]) {
          await checkpoints.save(step, (inside) => writeFile(join(inside, "s"), `state ${step}`));
          promise(String(step));
        }
      },
      check(root, promised) {
        const { valid, broken } = readCheckpoints(join(root, "stage", "checkpoints"), Infinity);
        expect(broken).toEqual([]);
        const saved = Math.max(0, ...[...promised].map(Number));
        expect(valid[0]?.step ?? 0).toBeGreaterThanOrEqual(saved);
        expect(valid.length).toBeGreaterThanOrEqual(Math.min(2, saved));
        for (const { step, directory } of valid) {
          expect(readFileSync(join(directory, "s"), "utf8")).toBe(`state ${step}`);
        }
      },
    },
    { limit: 300 },
  );
  expect(states).toBeGreaterThan(100);
});

test("every event that a journal took is in it, whatever follows", async () => {
  const options = (root: string) => ({ tornPath: join(root, "journal.torn"), durable: true });
  const states = await everyPowerLoss({
    async action(root, promise) {
      const journal = openJsonLines(join(root, "journal.jsonl"), options(root));
      for (const n of [1, 2, 3]) {
        journal.append(JSON.stringify({ n, text: "x".repeat(20) }));
        promise(String(n));
      }
      journal.close();
      return Promise.resolve();
    },
    check(root, promised) {
      const path = join(root, "journal.jsonl");
      const numbers = () => readJsonLines<{ n: number }>(path).records.map(({ n }) => n);
      const kept = [...promised].map(Number);
      expect(numbers().slice(0, kept.length)).toEqual(kept);
      const journal = openJsonLines(path, options(root));
      journal.append('{"n":9}');
      journal.close();
      expect(numbers().slice(0, kept.length)).toEqual(kept);
      expect(numbers().at(-1)).toBe(9);
      expect(readJsonLines(path).badLines).toBe(0);
    },
  });
  expect(states).toBeGreaterThan(10);
});

test("a torn line that is cut is kept, and nothing else is cut", async () => {
  const whole = '{"n":1}\n';
  const torn = '{"n":2,"te';
  const states = await everyPowerLoss({
    before: (root) => writeFileSync(join(root, "m.jsonl"), whole + torn),
    action(root) {
      openJsonLines(join(root, "m.jsonl"), { tornPath: join(root, "m.torn") }).close();
      return Promise.resolve();
    },
    check(root) {
      const text = readFileSync(join(root, "m.jsonl"), "utf8");
      const aside = existsSync(join(root, "m.torn"))
        ? readFileSync(join(root, "m.torn"), "utf8")
        : "";
      expect([whole, whole + torn]).toContain(text);
      if (text === whole) expect(aside).toBe(`${torn}\n`);
    },
  });
  expect(states).toBeGreaterThan(3);
});

test("the model itself finds what is not forced to the disk", async () => {
  const careless = everyPowerLoss({
    before: (root) => writeFileSync(join(root, "a"), "old"),
    async action(root) {
      const { faultPoint } = await import("../../src/base/fault.js");
      const { writeFileSync: write, renameSync } = await import("node:fs");
      // As most programs write files: no fsync before the rename.
      faultPoint({ point: "create", path: join(root, "b") });
      write(join(root, "b"), "new");
      faultPoint({ point: "write", path: join(root, "b"), bytes: Buffer.from("new") });
      faultPoint({ point: "rename", path: join(root, "a"), from: join(root, "b") });
      renameSync(join(root, "b"), join(root, "a"));
    },
    check: (root) => expect(["old", "new"]).toContain(readFileSync(join(root, "a"), "utf8")),
  });
  await expect(careless).rejects.toThrow(
    /^power lost at instant 3 of 3 .*\{a: "", b: |^power lost .*a: ""/,
  );
  expect(sha256("")).toHaveLength(64);
});
