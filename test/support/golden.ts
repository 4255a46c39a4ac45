/**
 * @file Where the golden values and the real assets are; tests that need them skip, with the
 * reason printed, where they are absent.
 */
import { appendFileSync, existsSync } from "node:fs";
import { resolve } from "node:path";
import { fileURLToPath } from "node:url";

const repositoryRoot = resolve(fileURLToPath(import.meta.url), "../../..");

function findDirectory(variable: string, fallback: string): string | undefined {
  const directory = resolve(repositoryRoot, process.env[variable] ?? fallback);
  if (existsSync(directory)) return directory;
  console.warn(`skipped: ${directory} is absent (set ${variable} to run these tests)`);
  return undefined;
}

/** The folder of golden values, or undefined (and a printed reason). */
export function goldenDirectory(): string | undefined {
  return findDirectory("DLLM_GOLDEN_DIR", "../shared/golden");
}

/** The folder of real tokenizers, texts and benchmark rows, or undefined (and a printed reason). */
export function assetsDirectory(): string | undefined {
  return findDirectory("DLLM_ASSETS_DIR", "../shared/assets");
}

/**
 * Adds a row to the golden table that the run prints at its end (golden-table.ts): topic, cases,
 * worst difference (0 where exact).
 */
export function printGolden(topic: string, cases: number, worstDifference = 0): void {
  const table = process.env[GOLDEN_TABLE];
  if (table === undefined) throw new Error(`${GOLDEN_TABLE} is not set: run through vitest`);
  appendFileSync(table, `${JSON.stringify({ topic, cases, worstDifference })}\n`);
}

/** Environment variable with the path of the table's rows during a run. */
export const GOLDEN_TABLE = "DLLM_GOLDEN_TABLE";
