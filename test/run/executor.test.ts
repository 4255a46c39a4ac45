/** @file The executor against toy stages that do everything a stage may do. */
import {
  existsSync,
  readFileSync,
  readdirSync,
  readlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { beforeAll, expect, test } from "vitest";
import {
  artifacts,
  bundleToy,
  finalStates,
  inTemporaryDirectory,
  runToy,
  startToy,
  toyPlan,
  type Toy,
} from "./toy-runs.js";

let toy: Toy;
beforeAll(async () => {
  toy = await bundleToy();
});

const calm = { steps: 6, saveEvery: 2 };

test("runs stages in order, and a second run reuses all of them", async () => {
  await inTemporaryDirectory(async (runs) => {
    const plan = toyPlan(calm, calm, calm);
    const first = await runToy(toy, runs, plan);
    expect(first).toMatchObject({ code: 0, stderr: "" });
    expect(first.events.filter(({ event }) => event === "stage-finished")).toMatchObject([
      { stage: "pretrain", metrics: { steps: 6, nan: "NaN" } },
      { stage: "sft" },
      { stage: "eval" },
    ]);
    const hashes = artifacts(runs, plan);

    const second = await runToy(toy, runs, plan);
    expect(second.code).toBe(0);
    expect(second.events.map(({ event }) => event)).toEqual([
      "run-started",
      "stage-reused",
      "stage-reused",
      "stage-reused",
      "run-finished",
    ]);
    expect(artifacts(runs, plan)).toEqual(hashes);
  });
});
