/** @file The oracle of fault tests: `dllm fsck` finds nothing wrong. */
import { join } from "node:path";
import { expect } from "vitest";
import { checkRuns } from "../../src/run/fsck.js";

/** Expects that everything below a runs directory is as the rules say. */
export async function expectSound(runs: string, run = "toy"): Promise<void> {
  const options = { runsRoot: runs, runs: [join(runs, run)], wholeStore: true };
  const { problems, checked } = await checkRuns(options);
  expect(problems.map(({ path, problem }) => `${path}: ${problem}`)).toEqual([]);
  expect(checked.stages).toBeGreaterThan(0);
}
