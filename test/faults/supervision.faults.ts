/**
 * @file The rows of supervision (RELIABILITY 3.1) have their tests in the ordinary suite; here they
 * are run several times, and named by row.
 */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeAll, expect } from "vitest";
import { row } from "./matrix.js";
import { runTests } from "./vitest-run.js";

const ROUNDS = 3;

/** Row to a part of the names of its tests. */
const rows = [
  ["P4", "workers in other sessions", "left running is killed before the next attempt"],
  ["P7", "a second request kills at once", "a second request to stop kills within a second"],
  ["P8", "SIGTERM saves and stops", "SIGTERM checkpoints, ends by the signal"],
  ["P9", "SIGHUP saves and stops", "SIGHUP checkpoints, ends by the signal"],
  ["P10", "a suspended executor", "a suspended executor takes nobody for hung"],
  ["P11", "a stage that does not stop", "does not stop is killed after the grace"],
  ["P13", "a daemon of a stage", "leaves in another session is killed and named"],
  ["P14", "out of memory", "no-memory: reason oom"],
  ["P16", "a hang", "a hang is noticed"],
  ["P17", "a flood of output", "a flood of output"],
] as const;

interface JsonReport {
  testResults: { assertionResults: { fullName: string; status: string }[] }[];
}

const rounds: { name: string; status: string }[][] = [];

beforeAll(async () => {
  const directory = mkdtempSync(join(tmpdir(), "dllm-rounds-"));
  for (let round = 0; round < ROUNDS; round++) {
    const file = join(directory, `${round}.json`);
    const files = ["test/run/supervision.test.ts", "test/run/interruption.test.ts"];
    await runTests([...files, "--reporter", "json", "--outputFile", file]);
    const { testResults } = JSON.parse(readFileSync(file, "utf8")) as JsonReport;
    rounds.push(
      testResults.flatMap(({ assertionResults }) =>
        assertionResults.map(({ fullName, status }) => ({ name: fullName, status })),
      ),
    );
  }
  rmSync(directory, { recursive: true });
}, 600_000);

for (const [id, how, name] of rows) {
  row(id, how, (count) => {
    for (const tests of rounds) {
      const found = tests.filter((each) => each.name.includes(name));
      expect(found.map(({ status }) => status)).toEqual(["passed"]);
      count(1);
    }
    return Promise.resolve();
  });
}
