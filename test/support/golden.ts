/**
 * @file Where the golden values and the real assets are; tests that need them skip, with the
 * reason printed, where they are absent.
 */
import { existsSync } from "node:fs";
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

/** Prints one row of the golden table: topic, cases, worst difference (0 where exact). */
export function printGolden(topic: string, cases: number, worstDifference = 0): void {
  const worst = worstDifference === 0 ? "exact" : worstDifference.toExponential(1);
  console.log(`golden  ${topic.padEnd(36)} ${String(cases).padStart(6)} cases  worst ${worst}`);
}
