/** @file Stopping by every means, and going on to the same result as without. */
import { readFileSync, readdirSync, truncateSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { beforeAll, describe, expect, test, vi } from "vitest";
import { readJsonLines } from "../../src/base/json-lines.js";
import { randomStream } from "../../src/base/random.js";
import { verifyDirectorySync } from "../../src/base/fs.js";
import type { Plan } from "../../src/plan/plan.js";
import { inMemoryDirectory } from "../support/temporary-directory.js";
import {
  artifacts,
  bundleToy,
  isRunning,
  runToy,
  startToy,
  toyPlan,
  type Toy,
} from "./toy-runs.js";

vi.setConfig({ testTimeout: 60_000 });

let toy: Toy;
const plan = toyPlan({ steps: 12, saveEvery: 3 });
let uninterrupted: string[];

beforeAll(async () => {
  toy = await bundleToy();
  uninterrupted = await inMemoryDirectory(async (runs) => {
    expect((await runToy(toy, runs, plan)).code).toBe(0);
    return artifacts(runs, plan);
  });
});

/** Runs to the end and checks everything that an interruption must not have changed. */
async function finishAndCompare(runs: string, what: Plan = plan): Promise<string[]> {
  const { code, stderr } = await runToy(toy, runs, what);
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  for (const { id } of what.stages) {
    const directory = join(runs, "toy", "stages", id);
    verifyDirectorySync(join(directory, "output"), { hash: true });
    expect(readdirSync(directory).filter((name) => /^\.|^error/.test(name))).toEqual([]);
    const { records, badLines } = readJsonLines<{ step: number }>(join(directory, "metrics.jsonl"));
    expect(badLines).toBe(0);
    // Complete: every step is there, repeated or not.
    const steps = new Set(records.map(({ step }) => step));
    const total = (what.stages.find((stage) => stage.id === id)!.params as { steps: number }).steps;
    expect([...steps].sort((a, b) => a - b)).toEqual([...Array(total).keys()].map((i) => i + 1));
  }
  return artifacts(runs, what);
}

describe("signals", () => {
  const hanging = { steps: 12, saveEvery: 3, misbehave: "hang", at: 4 } as const;

  test.each(["SIGINT", "SIGTERM", "SIGHUP"] as const)(
    "%s checkpoints, ends by the signal, and the next run resumes",
    async (signal) => {
      await inMemoryDirectory(async (runs) => {
        const hung = toyPlan(hanging);
        const run = startToy(toy, runs, hung);
        await run.misbehaving("pretrain");
        run.child.kill(signal);
        expect(await run.exited).toMatchObject({ code: null, signal });
        expect(run.events.slice(-3)).toMatchObject([
          { event: "checkpoint-published", step: 4 },
          { event: "stage-stopped", checkpointStep: 4 },
          { event: "run-finished", status: "stopped", exitCode: 75 },
        ]);
        const checkpoints = join(runs, "toy", "stages", "pretrain", "checkpoints");
        expect(readdirSync(checkpoints).sort()).toEqual(["step-000003", "step-000004"]);

        const resumed = await runToy(toy, runs, hung);
        expect(resumed.events.find(({ event }) => event === "stage-resumed")).toMatchObject({
          step: 4,
        });
        expect(artifacts(runs, hung)).toEqual(uninterrupted.slice(0, 1));
      });
    },
  );

  test("a second Ctrl-C kills a stage that does not stop", async () => {
    await inMemoryDirectory(async (runs) => {
      const run = startToy(toy, runs, toyPlan({ ...hanging, misbehave: "ignore-stop" }));
      await run.misbehaving("pretrain");
      const started = await run.event(({ event }) => event === "stage-started");
      run.child.kill("SIGINT");
      await run.event(({ event }) => event === "stop-requested");
      run.child.kill("SIGINT");
      expect(await run.exited).toMatchObject({ signal: "SIGINT" });
      expect(run.events.at(-2)).toMatchObject({ event: "stage-stopped", checkpointStep: 3 });
      expect(isRunning((started as unknown as { pid: number }).pid)).toBe(false);
    });
  });

  test("a stage that does not stop is killed after the grace", async () => {
    await inMemoryDirectory(async (runs) => {
      const run = startToy(toy, runs, toyPlan({ ...hanging, misbehave: "ignore-stop" }), {
        TOY_GRACE_MS: "100",
      });
      await run.misbehaving("pretrain");
      run.child.kill("SIGTERM");
      expect(await run.exited).toMatchObject({ signal: "SIGTERM" });
      expect(run.events.at(-2)).toMatchObject({ event: "stage-stopped", checkpointStep: 3 });
    });
  });

  test("a stage outlives a killed executor only to checkpoint", async () => {
    await inMemoryDirectory(async (runs) => {
      const run = startToy(toy, runs, toyPlan(hanging));
      await run.misbehaving("pretrain");
      run.child.kill("SIGKILL");
      await run.exited;
      // The next run waits for the orphan's lock and resumes at the step it saved on its way out.
      const { code, events } = await runToy(toy, runs, toyPlan(hanging));
      expect(code).toBe(0);
      expect(events.find(({ event }) => event === "stage-resumed")).toMatchObject({ step: 4 });
      expect(artifacts(runs, toyPlan(hanging))).toEqual(uninterrupted.slice(0, 1));
    });
  });
});

test("a damaged checkpoint is set aside, and the one before it is resumed", async () => {
  await inMemoryDirectory(async (runs) => {
    const hung = toyPlan({ steps: 12, saveEvery: 3, misbehave: "hang", at: 10 });
    const run = startToy(toy, runs, hung);
    const started = await run.event(({ event }) => event === "stage-started");
    await run.misbehaving("pretrain");
    process.kill((started as unknown as { pid: number }).pid, "SIGKILL");
    expect(await run.exited).toMatchObject({
      code: 1,
      stderr: "stage pretrain: its process was killed by SIGKILL\n",
    });
    const checkpoints = join(runs, "toy", "stages", "pretrain", "checkpoints");
    expect(readdirSync(checkpoints).sort()).toEqual(["step-000006", "step-000009"]);
    truncateSync(join(checkpoints, "step-000009", "moments.bin"), 100);

    const { code, events } = await runToy(toy, runs, hung);
    expect(code).toBe(0);
    expect(events.find(({ event }) => event === "quarantined")).toMatchObject({
      path: expect.stringMatching(/step-000009$/) as string,
      movedTo: expect.stringMatching(/step-000009\.bad$/) as string,
      problem: expect.stringMatching(
        /moments\.bin: damaged: found 100 bytes, expected 512/,
      ) as string,
    });
    expect(events.find(({ event }) => event === "stage-resumed")).toMatchObject({ step: 6 });
    expect(artifacts(runs, hung)).toEqual(uninterrupted.slice(0, 1));
  });
});

describe("SIGKILL", () => {
  test("of the stage at the operations of its checkpoints", async () => {
    let died = 0;
    // Every second operation: mkdir, writes, fsyncs, renames, of checkpoints and of pruning.
    for (let n = 1; n < 24; n += 4) {
      await inMemoryDirectory(async (runs) => {
        const { code } = await runToy(toy, runs, plan, {
          DLLM_FAULT: `any@/checkpoints:${n}:kill`,
        });
        if (code === 1) died++;
        else expect(code).toBe(0);
        expect(await finishAndCompare(runs)).toEqual(uninterrupted);
      });
    }
    expect(died).toBe(6);
  });

  test.each([
    // The output's rename, and after it; the result's write and rename.
    "rename@/output:1:kill",
    "rename@/pending.json:1:kill",
    "fsync@/.store/stages/:12:kill",
    "rename@/result.json:1:kill",
    "remove@/pending.json:1:kill",
    "append:7:torn",
  ])("at %s", async (fault) => {
    await inMemoryDirectory(async (runs) => {
      const { code } = await runToy(toy, runs, plan, { DLLM_FAULT: fault });
      expect(code).not.toBe(0);
      expect(await finishAndCompare(runs)).toEqual(uninterrupted);
    });
  });

  test("at random times of the executor or its stage", async () => {
    const seed = Number(process.env.DLLM_TEST_SEED ?? 1);
    const random = randomStream({ seed, purpose: "split" });
    for (let round = 0; round < 6; round++) {
      await inMemoryDirectory(async (runs) => {
        const run = startToy(toy, runs, plan);
        await run.event(({ event }) => event === "stage-started");
        // Random on purpose: whatever instant it hits must be fine.
        await delay(300 * random.uniform());
        const started = run.events.findLast(({ event }) => event === "stage-started");
        const { pid } = started as unknown as { pid: number };
        try {
          process.kill(round % 2 === 0 ? run.child.pid! : pid, "SIGKILL");
        } catch {
          // It had ended already.
        }
        await run.exited;
        expect(await finishAndCompare(runs)).toEqual(uninterrupted);
      });
    }
  });
});

test("a full disk stops the run with exit code 74, and space lets it go on", async () => {
  await inMemoryDirectory(async (runs) => {
    const full = await runToy(toy, runs, plan, { DLLM_FAULT: "write@/checkpoints:5+:enospc" });
    expect(full.code).toBe(74);
    expect(full.stderr).toMatch(/^stage pretrain: cannot write .*: ENOSPC/);
    expect(await finishAndCompare(runs)).toEqual(uninterrupted);
  });
});

test("metrics and journal lines torn by a crash are cut and kept aside", async () => {
  await inMemoryDirectory(async (runs) => {
    await runToy(toy, runs, plan, { DLLM_FAULT: "append:5:torn" });
    await finishAndCompare(runs);
    const torn = readFileSync(join(runs, "toy", "journal.torn"), "utf8");
    expect(torn).toMatch(/^\{"time":/);
    expect(() => JSON.parse(torn) as unknown).toThrow();
  });
});
