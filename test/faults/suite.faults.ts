/**
 * @file Rows whose tests are part of the ordinary suite: here these are run, those that depend on
 * time several times, and named by row.
 */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeAll, describe, expect } from "vitest";
import { Skipped, row } from "./matrix.js";
import { runTests } from "./vitest-run.js";

/** Row, and a part of the names of its tests. */
type SuiteRow = readonly [id: string, how: string, name: string];

const supervision: readonly SuiteRow[] = [
  ["P4", "workers in other sessions", "left running is killed before the next attempt"],
  ["P6", "Ctrl-C in a terminal", "Ctrl-C saves, ends by the signal and restores it"],
  ["P7", "a second request kills at once", "a second request to stop kills within a second"],
  ["P7", "Ctrl-C twice in a terminal", "Ctrl-C twice ends at once what does not stop"],
  ["P8", "SIGTERM saves and stops", "SIGTERM checkpoints, ends by the signal"],
  ["P9", "SIGHUP saves and stops", "SIGHUP checkpoints, ends by the signal"],
  ["P9", "a terminal that is closed", "a terminal that is closed saves the state"],
  ["P10", "a suspended executor", "a suspended executor takes nobody for hung"],
  ["P11", "a stage that does not stop", "does not stop is killed after the grace"],
  ["P13", "a daemon of a stage", "leaves in another session is killed and named"],
  ["P14", "out of memory", "no-memory: reason oom"],
  ["P14", "killed by the kernel for lack of memory", "kernel kills for lack of memory"],
  ["P16", "a hang", "a hang is noticed"],
  ["P17", "a flood of output", "a flood of output"],
  ["P18", "output onto a full disk", "output that cannot be written does not end the run"],
];

const data: readonly SuiteRow[] = [
  ["S15", "rows that cannot be read", "S15: rows that cannot be read are named"],
  ["S15", "bad rows by policy", "S15: bad rows are left out where the recipe says so"],
  ["S16", "an input that changes while a stage runs", "that change while it runs are stored under"],
];

const inRun = (name: string): string => `test/run/${name}.test.ts`;

describe.each([
  {
    rounds: 3,
    files: [inRun("supervision"), inRun("interruption"), inRun("terminal")],
    rows: supervision,
  },
  {
    rounds: 1,
    files: ["test/data/formats.test.ts", "test/stages/prepare-hub.test.ts", inRun("storage")],
    rows: data,
  },
])("of $files", ({ rounds, files, rows }) => {
  const reports: { name: string; status: string }[][] = [];
  beforeAll(async () => {
    for (let round = 0; round < rounds; round++) reports.push(await report(files));
  }, 900_000);

  for (const [id, how, name] of rows) {
    row(id, how, (count) => {
      for (const tests of reports) {
        const found = tests.filter((each) => each.name.includes(name));
        if (found.some(({ status }) => status === "skipped")) {
          return Promise.reject(new Skipped(`for the reason that "${found[0]!.name}" has`));
        }
        expect(found.map(({ status }) => status)).toEqual(["passed"]);
        count(1);
      }
      return Promise.resolve();
    });
  }
});

interface JsonReport {
  testResults: { assertionResults: { fullName: string; status: string }[] }[];
}

/** Runs test files once and returns what became of each test. */
async function report(files: readonly string[]): Promise<{ name: string; status: string }[]> {
  const directory = mkdtempSync(join(tmpdir(), "dllm-report-"));
  const file = join(directory, "report.json");
  await runTests([...files, "--reporter", "json", "--outputFile", file]);
  const { testResults } = JSON.parse(readFileSync(file, "utf8")) as JsonReport;
  rmSync(directory, { recursive: true });
  return testResults.flatMap(({ assertionResults }) =>
    assertionResults.map(({ fullName, status }) => ({ name: fullName, status })),
  );
}
