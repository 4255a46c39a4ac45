/** @file Prints the fault matrix after a run: row, how it was tested, how many cases, result. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { MATRIX, type MatrixRow } from "./matrix-rows.js";

/** Vitest's global set-up; the function it returns runs after all tests. */
export default function setUp(): () => void {
  const directory = mkdtempSync(join(tmpdir(), "dllm-faults-"));
  const file = join(directory, "rows.jsonl");
  writeFileSync(file, "");
  process.env[MATRIX] = file;
  return () => {
    const rows = readFileSync(file, "utf8")
      .split("\n")
      .filter((line) => line !== "")
      .map((line) => JSON.parse(line) as MatrixRow)
      .sort((a, b) => a.id.localeCompare(b.id, "en", { numeric: true }));
    rmSync(directory, { recursive: true });
    const width = Math.min(90, Math.max(0, ...rows.map(({ how }) => how.length)));
    console.log(
      `\n  ${"row".padEnd(9)} ${"how".padEnd(width)} ${"cases".padStart(6)} ${"s".padStart(6)}  result`,
    );
    for (const { id, how, count, result, seconds } of rows) {
      console.log(
        `  ${id.padEnd(9)} ${how.padEnd(width)} ${String(count).padStart(6)} ${seconds.toFixed(1).padStart(6)}  ${result}`,
      );
    }
    const cases = rows.reduce((sum, { count }) => sum + count, 0);
    console.log(`  ${rows.length} tests, ${cases} cases\n`);
  };
}
