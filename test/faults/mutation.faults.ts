/**
 * @file Removes each step of the protocols once and runs the tests that must notice: a step that
 * no test misses is not tested.
 */
import { spawn } from "node:child_process";
import { describe, expect } from "vitest";
import { row } from "./matrix.js";
import { mutations } from "./mutations.js";

/** Runs test files of the ordinary suite against a build without one step. */
function runTests(
  files: readonly string[],
  mutation: string,
): Promise<{ code: number | null; output: string }> {
  const environment = Object.entries(process.env).filter(
    ([name]) => !/^(VITEST|TEST|NODE_OPTIONS)/.test(name),
  );
  return new Promise((resolve) => {
    const child = spawn(
      process.execPath,
      ["node_modules/vitest/vitest.mjs", "run", ...files, "--bail", "1", "--reporter", "basic"],
      {
        env: { ...Object.fromEntries(environment), DLLM_MUTATION: mutation, NO_COLOR: "1" },
        stdio: ["ignore", "pipe", "pipe"],
      },
    );
    let output = "";
    for (const stream of [child.stdout, child.stderr]) {
      stream.on("data", (data: Buffer) => (output += data.toString()));
    }
    child.once("close", (code) => resolve({ code, output }));
  });
}

describe("builds without one step of a protocol", () => {
  row("mutation", "the unchanged build passes the same tests", async (count) => {
    const files = [...new Set(mutations.map(({ tests }) => tests))];
    const { code, output } = await runTests(files, "");
    expect(code, output.slice(-3000)).toBe(0);
    count(files.length);
  });

  for (const { name, tests } of mutations) {
    row("mutation", name, async (count) => {
      const { code, output } = await runTests([tests], name);
      expect(output, "the build itself must work").not.toMatch(/found \d+ times in|which is none/);
      expect(code, `no test misses it:\n${output.slice(-1500)}`).toBe(1);
      expect(output).toMatch(/Tests {2}\d+ failed/);
      count(1);
    });
  }
});
