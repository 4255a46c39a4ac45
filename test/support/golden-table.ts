/** @file Prints the golden table after a run: what was compared with the reference, and how close. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { GOLDEN_TABLE } from "./golden.js";

/** Vitest's global set-up; the function it returns runs after all tests. */
export default function setUp(): () => void {
  const directory = mkdtempSync(join(tmpdir(), "dllm-golden-"));
  const table = join(directory, "rows.jsonl");
  writeFileSync(table, "");
  process.env[GOLDEN_TABLE] = table;
  return () => {
    const rows = readFileSync(table, "utf8")
      .split("\n")
      .filter((line) => line !== "")
      .map((line) => JSON.parse(line) as { topic: string; cases: number; worstDifference: number })
      .sort((a, b) => (a.topic < b.topic ? -1 : 1));
    rmSync(directory, { recursive: true });
    if (rows.length === 0) return;
    console.log(`\n  ${"golden topic".padEnd(44)} ${"cases".padStart(7)}  worst difference`);
    for (const { topic, cases, worstDifference } of rows) {
      const worst = worstDifference === 0 ? "exact" : worstDifference.toExponential(1);
      console.log(`  ${topic.padEnd(44)} ${String(cases).padStart(7)}  ${worst}`);
    }
  };
}
