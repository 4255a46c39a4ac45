/**
 * @file Removes each step of the protocols once and runs the tests that must notice: a step that
 * no test misses is not tested.
 */
import { describe, expect } from "vitest";
import { row } from "./matrix.js";
import { mutations } from "./mutations.js";
import { runTests } from "./vitest-run.js";

const quickly = ["--bail", "1", "--reporter", "basic"];

describe("builds without one step of a protocol", () => {
  row("mutation", "the unchanged build passes the same tests", async (count) => {
    const files = [...new Set(mutations.map(({ tests }) => tests))];
    const { code, output } = await runTests([...files, ...quickly]);
    expect(code, output.slice(-3000)).toBe(0);
    count(files.length);
  });

  for (const { name, tests } of mutations) {
    row("mutation", name, async (count) => {
      const { code, output } = await runTests([tests, ...quickly], { DLLM_MUTATION: name });
      expect(output, "the build itself must work").not.toMatch(/found \d+ times in|which is none/);
      expect(code, `no test misses it:\n${output.slice(-1500)}`).toBe(1);
      expect(output).toMatch(/Tests {2}\d+ failed/);
      count(1);
    });
  }
});
