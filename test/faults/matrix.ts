/** @file The rows of the fault matrix (RELIABILITY 3): each test records what it did for the table. */
import { appendFileSync } from "node:fs";
import { test } from "vitest";
import { MATRIX, type MatrixRow } from "./matrix-rows.js";

/** Adds to how many cases a row has gone through. */
export type Counter = (cases: number) => void;

/** Thrown by a test that finds on its way that it cannot be run here. */
export class Skipped extends Error {}

/** Declares the test of a row; a row may have several. `skip` says why it cannot be run here. */
export function row(
  id: string,
  how: string,
  run: (count: Counter) => Promise<void>,
  { skip, timeoutMs = 300_000 }: { skip?: string | false; timeoutMs?: number } = {},
): void {
  test(`${id} ${how}`, { timeout: timeoutMs }, async (context) => {
    const started = performance.now();
    let count = 0;
    const record = (result: MatrixRow["result"]) => {
      const seconds = Math.round((performance.now() - started) / 100) / 10;
      const file = process.env[MATRIX];
      const line: MatrixRow = { id, how, count, result, seconds };
      if (file !== undefined) appendFileSync(file, `${JSON.stringify(line)}\n`);
    };
    const skipped = (why: string) => {
      console.log(`${id} ${how}: skipped: ${why}`);
      record(`skipped: ${why}`);
      context.skip(why);
    };
    if (skip) return skipped(skip);
    try {
      await run((cases) => (count += cases));
      // A loop over nothing has tested nothing.
      if (count === 0) throw new Error(`${id}: no case was tried`);
    } catch (error) {
      if (error instanceof Skipped) return skipped(error.message);
      record("failed");
      throw error;
    }
    record("passed");
  });
}
