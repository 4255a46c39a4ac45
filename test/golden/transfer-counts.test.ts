/** @file Transfer counts against the reference (golden/schedule/README.md); all exact. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { alphaSchedules } from "../../src/diffusion/alpha-schedule.js";
import { transferCounts } from "../../src/sample/transfer-counts.js";
import { goldenDirectory, printGolden } from "../support/golden.js";

const golden = goldenDirectory();
const path = (name: string): string => join(golden ?? "", "schedule", name);
const names = ["linear", "cosine"] as const;

const counts = (name: (typeof names)[number], masks: number, steps: number): number[] =>
  transferCounts({ masks, steps, schedule: alphaSchedules[name] });

/** Expands run lengths: "3x2 4" is 3 3 4. */
const expand = (text: string): number[] =>
  text
    .split(" ")
    .filter((word) => word !== "")
    .flatMap((word) => {
      const [value, times = 1] = word.split("x").map(Number) as [number, number?];
      return new Array<number>(times).fill(value);
    });

describe.skipIf(golden === undefined)("golden transfer counts", () => {
  test.each(names)("%s, every small m and S", (name) => {
    const file = path(`transfer_${name}.txt`);
    if (!existsSync(file)) {
      console.warn(`skipped: ${file} is only in the first golden set`);
      return;
    }
    const lines = readFileSync(file, "utf8")
      .trimEnd()
      .split("\n")
      .filter((line) => !line.startsWith("#"));
    const mismatches: string[] = [];
    let compared = 0;
    lines.forEach((line, lineIndex) => {
      const steps = lineIndex + 1;
      line.split(";").forEach((field, masks) => {
        compared++;
        const found = counts(name, masks, steps).join(" ");
        const expected = expand(field).join(" ");
        if (found !== expected) mismatches.push(`m=${masks} S=${steps}: ${found}, not ${expected}`);
      });
    });
    expect(mismatches).toEqual([]);
    expect(compared).toBe(128 * 129);
    printGolden(`transfer counts ${name}`, compared);
  });

  test("larger m and S", () => {
    const { rows } = JSON.parse(readFileSync(path("transfer_random.json"), "utf8")) as {
      rows: { m: number; S: number; linear: string; cosine: string }[];
    };
    expect(rows.length).toBeGreaterThan(10);
    for (const row of rows) {
      for (const name of names) {
        expect([row.m, row.S, counts(name, row.m, row.S)]).toEqual([
          row.m,
          row.S,
          expand(row[name]),
        ]);
      }
    }
    printGolden("transfer counts, larger, both schedules", rows.length);
  });

  test("rows of unequal counts", () => {
    const { rows } = JSON.parse(readFileSync(path("transfer_batch.json"), "utf8")) as {
      rows: { mask_counts: number[]; S: number; linear: number[][]; cosine: number[][] }[];
    };
    expect(rows.length).toBeGreaterThan(3);
    for (const row of rows) {
      for (const name of names) {
        const found = row.mask_counts.map((masks) => counts(name, masks, row.S));
        const expected = row[name].map((padded) => padded.filter((count) => count > 0));
        expect(found).toEqual(expected);
      }
    }
  });
});
