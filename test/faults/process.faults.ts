/** @file Process faults (RELIABILITY 3.1): whatever is killed, nothing is lost or computed twice. */
import { setTimeout as delay } from "node:timers/promises";
import { beforeAll, expect } from "vitest";
import { artifacts, isRunning, runToy, startToy, toyPlan } from "../run/toy-runs.js";
import { inMemoryDirectory } from "../support/temporary-directory.js";
import { row } from "./matrix.js";
import {
  breakAndFinish,
  everyN,
  finish,
  makeBench,
  random,
  rounds,
  seed,
  type Bench,
} from "./toy.js";

let bench: Bench;
/** One stage: its operations are enumerated. */
let single: Bench;
beforeAll(async () => {
  bench = await makeBench();
  single = await makeBench(toyPlan({ steps: 6, saveEvery: 2 }));
});

/** A stage that was killed fails its run with 1, unless the run goes on with another attempt. */
const killed = (code: number | null): boolean => code === 1;

async function killAtRandom(
  runs: string,
  who: "executor" | "stage",
  uniform: number,
): Promise<void> {
  const run = startToy(bench.toy, runs, bench.plan);
  await run.event(({ event }) => event === "run-started");
  await delay(900 * uniform);
  const started = run.events.findLast(({ event }) => event === "stage-started");
  const stage = (started as { pid?: number } | undefined)?.pid;
  const pid = who === "executor" ? run.child.pid : stage;
  try {
    if (pid !== undefined) process.kill(pid, "SIGKILL");
  } catch {
    // It had ended already.
  }
  await run.exited;
}

row(
  "P1",
  `SIGKILL of the executor at random moments (seed ${seed})`,
  async (count) => {
    const stream = random();
    for (let round = 0; round < rounds / 2; round++) {
      await inMemoryDirectory(async (runs) => {
        await killAtRandom(runs, "executor", stream.uniform());
        await finish(bench, runs);
      });
      count(1);
    }
  },
  { timeoutMs: 900_000 },
);

row(
  "P2",
  `SIGKILL of the stage at random moments (seed ${seed})`,
  async (count) => {
    const stream = random();
    for (let round = 0; round < rounds / 2; round++) {
      await inMemoryDirectory(async (runs) => {
        await killAtRandom(runs, "stage", stream.uniform());
        await finish(bench, runs);
      });
      count(1);
    }
  },
  { timeoutMs: 900_000 },
);

row(
  "P1",
  "SIGKILL at every operation of executor and stage",
  async (count) => {
    count(await everyN((n) => breakAndFinish(single, `any:${n}:kill`, killed)));
  },
  { timeoutMs: 900_000 },
);

row("P2", "the stage kills itself at step k", async (count) => {
  for (let at = 0; at < 12; at++) {
    await inMemoryDirectory(async (runs) => {
      const plan = toyPlan({ steps: 12, saveEvery: 3, misbehave: "kill-itself", at });
      const first = await runToy(bench.toy, runs, plan);
      // Killed for good after its attempts, or already gone on with.
      expect([0, 1]).toContain(first.code);
      await finish({ ...bench, plan, expected: bench.expected.slice(0, 1) }, runs);
    });
    count(1);
  }
});

row(
  "P3",
  "SIGKILL at every operation on checkpoints",
  async (count) => {
    count(await everyN((n) => breakAndFinish(single, `any@/checkpoints:${n}:kill`, killed)));
  },
  { timeoutMs: 900_000 },
);

row(
  "P3",
  "SIGKILL in the middle of every write",
  async (count) => {
    count(await everyN((n) => breakAndFinish(single, `write:${n}:torn`, killed)));
    count(await everyN((n) => breakAndFinish(single, `append:${n}:torn`, killed)));
  },
  { timeoutMs: 900_000 },
);

row("P6", "a request to stop, then another run", async (count) => {
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    await inMemoryDirectory(async (runs) => {
      const plan = toyPlan({ steps: 12, saveEvery: 3, misbehave: "hang", at: 4 });
      const run = startToy(bench.toy, runs, plan);
      await run.misbehaving("pretrain");
      run.child.kill(signal);
      expect(await run.exited).toMatchObject({ signal });
      const { code, events } = await runToy(bench.toy, runs, plan);
      expect(code).toBe(0);
      expect(events.find(({ event }) => event === "stage-resumed")).toMatchObject({ step: 4 });
      expect(artifacts(runs, plan)).toEqual(bench.expected.slice(0, 1));
    });
    count(1);
  }
});

row("P12", "a stage that ends well without a result, or without an output", async (count) => {
  for (const misbehave of ["exit-zero", "exit-zero-without-output"] as const) {
    await inMemoryDirectory(async (runs) => {
      const plan = toyPlan({ steps: 6, saveEvery: 2, misbehave, at: 3 });
      const { code, events } = await runToy(bench.toy, runs, plan);
      expect(code).toBe(1);
      expect(events.find(({ event }) => event === "stage-failed")).toMatchObject({
        reason: "incomplete_output",
      });
      expect((await runToy(bench.toy, runs, plan)).code).toBe(1);
    });
    count(1);
  }
});

row("P13", "a child that a stage leaves running is ended with it", async (count) => {
  await inMemoryDirectory(async (runs) => {
    const plan = toyPlan({ steps: 6, saveEvery: 2, misbehave: "daemon", at: 3 });
    expect((await runToy(bench.toy, runs, plan)).code).toBe(0);
    const { readFileSync } = await import("node:fs");
    const log = readFileSync(`${runs}/toy/stages/pretrain/out.log`, "utf8");
    const daemon = Number(/^daemon (\d+)$/m.exec(log)?.[1]);
    expect(daemon).toBeGreaterThan(1);
    expect(isRunning(daemon)).toBe(false);
  });
  count(1);
});
