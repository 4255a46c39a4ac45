/** @file Supervision of real stage processes: deaths, hangs, leftovers, floods, signals. */
import { existsSync, mkdirSync, readFileSync, rmdirSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, test, vi } from "vitest";
import { lockHolder } from "../../src/base/lock.js";
import { readRunStatus } from "../../src/run/run-status.js";
import { inTemporaryDirectory } from "../support/temporary-directory.js";
import { isRunning, runToy, type Toy } from "./toy-runs.js";
import {
  bundleUnruly,
  eventsOf,
  runUnruly,
  stageFile,
  startUnruly,
  unrulyPlan,
} from "./unruly-runs.js";

vi.setConfig({ testTimeout: 60_000 });

let toy: Toy;
beforeAll(async () => {
  toy = await bundleUnruly();
});

const retry = { retries: 2, retryBaseMs: 1 };

describe("retries", () => {
  test("a killed stage goes on at its checkpoint, to the same result", async () => {
    await inTemporaryDirectory(async (runs) => {
      const steps = { steps: 6, saveEvery: 2 };
      const plan = unrulyPlan({
        // Dies three times; each later checkpoint gives new retries.
        a: { ...steps, what: "kill-self", at: 3, attempts: 2 },
        calm: { ...steps, name: "a" },
      });
      const { code, events } = await runUnruly(toy, runs, plan, retry);
      expect(code).toBe(0);
      expect(eventsOf(events, "stage-retrying")).toMatchObject([
        { stage: "a", reason: "killed", retriesLeft: 1 },
        { stage: "a", reason: "killed", retriesLeft: 0 },
      ]);
      expect(eventsOf(events, "stage-resumed")).toMatchObject([{ step: 2 }, { step: 2 }]);
      expect(stageFile(runs, "a", "output/state.txt")).toBe(
        stageFile(runs, "calm", "output/state.txt"),
      );
      expect(eventsOf(events, "stage-failed")).toEqual([]);
    });
  });

  test("they end, and the failure says how to go on", async () => {
    await inTemporaryDirectory(async (runs) => {
      const plan = unrulyPlan({ a: { steps: 4, what: "kill-self", at: 1, attempts: 9 } });
      const { code, stderr, events } = await runUnruly(toy, runs, plan, retry);
      expect(code).toBe(1);
      expect(stderr).toBe("stage a: its process was killed by SIGKILL\n");
      expect(eventsOf(events, "stage-started")).toHaveLength(3);
      const error = JSON.parse(stageFile(runs, "a", "error.json")) as object;
      expect(error).toMatchObject({ schema: 1, attempt: 3, exitCode: 1, reason: "killed" });
    });
  });

  test.each([
    ["network", "network", 69, 3],
    ["preempted", "preempted", 75, 3],
    ["diverge", "diverged", 1, 1],
    ["no-memory", "oom", 1, 1],
  ] as const)(
    "%s: reason %s, exit code %i, %i attempts",
    async (what, reason, exitCode, attempts) => {
      await inTemporaryDirectory(async (runs) => {
        const plan = unrulyPlan({ a: { steps: 4, what, at: 1, attempts: 9 } });
        const { code, events } = await runUnruly(toy, runs, plan, retry);
        expect(code).toBe(exitCode);
        expect(eventsOf(events, "stage-started")).toHaveLength(attempts);
        expect(eventsOf(events, "stage-failed")).toMatchObject([{ reason, exitCode }]);
        const error = JSON.parse(stageFile(runs, "a", "error.json")) as object;
        expect(error).toMatchObject({ reason, exitCode });
      });
    },
  );
});

test("what a stage leaves in another session is killed and named", async () => {
  await inTemporaryDirectory(async (runs) => {
    const { code, events } = await runUnruly(
      toy,
      runs,
      unrulyPlan({ a: { steps: 2, what: "daemon" } }),
    );
    expect(code).toBe(0);
    const daemon = Number(/^daemon (\d+)$/m.exec(stageFile(runs, "a", "out.log"))?.[1]);
    expect(eventsOf(events, "leftovers-killed")).toMatchObject([
      { stage: "a", processes: [{ pid: daemon, command: "sleep 600" }] },
    ]);
    expect(isRunning(daemon)).toBe(false);
  });
});

test("what a stage of a killed executor left running is killed before the next attempt", async () => {
  await inTemporaryDirectory(async (runs) => {
    const plan = unrulyPlan({ a: { steps: 4, what: "daemon-then-spin", at: 1 } });
    const first = startUnruly(toy, runs, plan);
    await first.misbehaving("a");
    const daemonOf = () => Number(/^daemon (\d+)$/m.exec(stageFile(runs, "a", "out.log"))?.[1]);
    await vi.waitFor(() => expect(daemonOf()).toBeGreaterThan(1), { timeout: 10_000, interval: 5 });
    const daemon = daemonOf();
    const { pid } = eventsOf(first.events, "stage-started")[0]!;
    first.child.kill("SIGKILL");
    await first.exited;
    process.kill(pid, "SIGKILL");
    expect(isRunning(daemon)).toBe(true);
    const { code, events } = await runUnruly(toy, runs, plan);
    expect(code).toBe(0);
    expect(eventsOf(events, "leftovers-killed")).toMatchObject([{ processes: [{ pid: daemon }] }]);
    expect(isRunning(daemon)).toBe(false);
  });
});

describe("a process that cannot be started", () => {
  test.each([
    ["is no program", (path: string) => mkdirSync(path), "EACCES", 77],
    ["needs a program that is not there", script("#!/nonexistent"), "ENOENT", 78],
    ["may not run another", script("#!/bin/sh\necho not allowed; exit 126"), "not allowed", 77],
    ["does not find another", script("#!/bin/sh\necho no node; exit 127"), "no node", 78],
  ] as const)("which %s", async (_, make, problem, exitCode) => {
    await inTemporaryDirectory(async (runs) => {
      const bin = join(runs, "bin");
      mkdirSync(bin);
      make(join(bin, "setpriv"));
      // Alone: where it cannot be run, the next of its name would be.
      const env = { PATH: bin };
      const plan = unrulyPlan({ a: { steps: 1 } });
      const { code, stderr, events } = await runUnruly(toy, runs, plan, retry, env);
      expect({ code, stderr }).toEqual({
        code: exitCode,
        stderr: expect.stringMatching(
          new RegExp(`^stage a: its process cannot be started: .*${problem}`),
        ) as string,
      });
      expect(eventsOf(events, "stage-failed")).toMatchObject([{ reason: "cannot_start" }]);
      expect(eventsOf(events, "stage-retrying")).toEqual([]);
    });
  });

  function script(text: string) {
    return (path: string) => writeFileSync(path, `${text}\n`, { mode: 0o755 });
  }
});

test("a stage that waits for ever says for what", async () => {
  await inTemporaryDirectory(async (runs) => {
    const plan = unrulyPlan({ a: { steps: 4, what: "hang", at: 1 } });
    const { code, events } = await runUnruly(toy, runs, plan, { stallTimeoutMs: 2500 });
    expect(code).toBe(1);
    expect(eventsOf(events, "stage-failed")).toMatchObject([{ reason: "stalled" }]);
    const log = stageFile(runs, "a", "out.log");
    expect(log).toMatch(/^\[dllm\] the event loop runs, and waits for: .*Timeout/m);
    // It saved its state on its way out.
    expect((await runUnruly(toy, runs, plan)).code).toBe(0);
  });
});

test("a hang is noticed, what it did kept, and the stage ended", async () => {
  await inTemporaryDirectory(async (runs) => {
    const plan = unrulyPlan({ a: { steps: 4, what: "spin", at: 1, attempts: 9 } });
    const options = { stallTimeoutMs: 2500, graceMs: 50, ...retry };
    const { code, events } = await runUnruly(toy, runs, plan, options);
    expect(code).toBe(1);
    expect(eventsOf(events, "stage-stalled")).toMatchObject([{ stage: "a", seconds: 2.5 }]);
    expect(eventsOf(events, "stage-failed")).toMatchObject([
      {
        reason: "stalled",
        message: expect.stringMatching(/^stage a: it made no progress for/) as string,
      },
    ]);
    const log = stageFile(runs, "a", "out.log");
    // The busy one is the main thread; it cannot say what it waits for.
    expect(log).toMatch(
      /\[dllm\] stalled; threads of process (\d+):\n\[dllm\] {3}\1 .*: R, [\d.]+ s/,
    );
    expect(log).not.toContain("event loop runs");
  });
});

test("a suspended executor takes nobody for hung", async () => {
  await inTemporaryDirectory(async (runs) => {
    const plan = unrulyPlan({ a: { steps: 4, what: "hang", at: 1 } });
    const run = startUnruly(toy, runs, plan, { stallTimeoutMs: 4000 });
    const started = await run.event(({ event }) => event === "stage-started");
    const { pid } = started as unknown as { pid: number };
    await run.misbehaving("a");
    // A suspended machine: neither of them runs.
    process.kill(pid, "SIGSTOP");
    run.child.kill("SIGSTOP");
    await new Promise((resolve) => setTimeout(resolve, 4500));
    run.child.kill("SIGCONT");
    process.kill(pid, "SIGCONT");
    run.child.kill("SIGTERM");
    expect(await run.exited).toMatchObject({ signal: "SIGTERM" });
    expect(eventsOf(run.events, "stage-stalled")).toEqual([]);
    expect(eventsOf(run.events, "stage-stopped")).toMatchObject([{ checkpointStep: 1 }]);
  });
});

/** A memory cgroup of ours, where this machine lets us make one (version 1, as root). */
function memoryGroup(limitBytes: number): string | undefined {
  try {
    const path = /^\d+:memory:(.*)$/m.exec(readFileSync("/proc/self/cgroup", "utf8"))![1]!;
    const group = join("/sys/fs/cgroup/memory", path, `dllm-test-${process.pid}`);
    mkdirSync(group);
    writeFileSync(join(group, "memory.limit_in_bytes"), String(limitBytes));
    return group;
  } catch {
    return undefined;
  }
}

test("a stage that the kernel kills for lack of memory is not tried again, and says what to do", async (context) => {
  const group = memoryGroup(300 * 2 ** 20);
  if (group === undefined) return context.skip("no memory cgroup can be made here");
  try {
    await inTemporaryDirectory(async (runs) => {
      const plan = unrulyPlan({ a: { steps: 4, what: "eat-memory", at: 1, attempts: 9 } });
      const run = startUnruly(toy, runs, plan, { ...retry }, { TOY_CGROUP: group });
      expect(await run.exited).toMatchObject({ code: 1 });
      const [failure] = eventsOf(run.events, "stage-failed");
      expect(failure).toMatchObject({ reason: "oom" });
      expect(failure!.message).toMatch(/^stage a: it ran out of memory/);
      expect(failure!.details[0]).toMatch(/^lower per_device_train_batch_size/);
      expect(eventsOf(run.events, "stage-started")).toHaveLength(1);
    });
  } finally {
    rmdirSync(group);
  }
});

test("a flood of output neither stops the stage nor fills the disk", async () => {
  await inTemporaryDirectory(async (runs) => {
    const plan = unrulyPlan({ a: { steps: 3, what: "flood", at: 1 } });
    const { code, events } = await runUnruly(toy, runs, plan);
    expect(code).toBe(0);
    const directory = join(runs, "toy", "stages", "a");
    const sizes = ["out.log", "out.log.1"].map((file) => statSync(join(directory, file)).size);
    expect(sizes[0]).toBeLessThanOrEqual(32 * 2 ** 20 + 200);
    expect(sizes[1]).toBeGreaterThanOrEqual(8 * 2 ** 20);
    expect(sizes[1]).toBeLessThanOrEqual(17 * 2 ** 20);
    const dropped = eventsOf(events, "log-cut").reduce((sum, each) => sum + each.droppedBytes, 0);
    expect(dropped).toBeGreaterThan(100 * 2 ** 20);
    const logs = stageFile(runs, "a", "out.log") + stageFile(runs, "a", "out.log.1");
    // Not toContain: its message would hold the whole log.
    expect(logs.includes("last words\n")).toBe(true);
  });
});

test("a reader of the events that goes away does not end the run", async () => {
  await inTemporaryDirectory(async (runs) => {
    const plan = unrulyPlan({ a: { steps: 4, what: "hang-until-save", at: 2 }, b: { steps: 1 } });
    const run = startUnruly(toy, runs, plan);
    await run.misbehaving("a");
    // As `| head` does.
    run.child.stdout!.destroy();
    run.child.kill("SIGUSR2");
    expect(await run.exited).toMatchObject({ code: 0, stderr: "" });
    expect(readRunStatus(join(runs, "toy")).state).toBe("finished");
  });
});

test("output that cannot be written does not end the run, and is said by the exit code", async (context) => {
  if (!existsSync("/dev/full")) return context.skip("there is no /dev/full here");
  await inTemporaryDirectory(async (runs) => {
    const full = ["sh", "-c", 'exec "$@" > /dev/full', "sh"];
    const plan = unrulyPlan({ a: { steps: 2 } });
    expect(await runToy(toy, runs, plan, {}, full)).toMatchObject({
      code: 74,
      stderr: "error: cannot write the standard output: ENOSPC: no space left on device, write\n",
    });
    expect(readRunStatus(join(runs, "toy")).state).toBe("finished");
  });
});

test("USR2 makes a running stage save its state and go on", async () => {
  await inTemporaryDirectory(async (runs) => {
    const plan = unrulyPlan({ a: { steps: 4, what: "hang-until-save", at: 2 } });
    const run = startUnruly(toy, runs, plan);
    await run.misbehaving("a");
    run.child.kill("SIGUSR2");
    expect(await run.exited).toMatchObject({ code: 0 });
    expect(eventsOf(run.events, "checkpoint-requested")).toMatchObject([{ stage: "a" }]);
    // The occasion is after the step at hand.
    expect(eventsOf(run.events, "checkpoint-published")).toMatchObject([{ step: 3 }]);
    expect(eventsOf(run.events, "stage-finished")).toHaveLength(1);
  });
});

test("a second request to stop kills within a second, whatever hangs; QUIT does so at once", async () => {
  await inTemporaryDirectory(async (runs) => {
    const plan = unrulyPlan({ a: { steps: 4, what: "spin", at: 1, attempts: 9 } });
    for (const signals of [["SIGINT", "SIGINT"], ["SIGQUIT"]] as const) {
      const run = startUnruly(toy, runs, plan);
      await run.misbehaving("a");
      const { pid } = eventsOf(run.events, "stage-started")[0]!;
      for (const signal of signals.slice(0, -1)) {
        run.child.kill(signal);
        await run.event(({ event }) => event === "stop-requested");
      }
      const asked = performance.now();
      run.child.kill(signals.at(-1)!);
      await run.event(({ event }) => event === "stage-stopped");
      expect(performance.now() - asked).toBeLessThan(1000);
      await run.exited;
      expect(isRunning(pid)).toBe(false);
    }
  });
});

test("a stage gets what it needs of the environment, and no secret", async () => {
  await inTemporaryDirectory(async (runs) => {
    const plan = unrulyPlan({
      a: { steps: 1, what: "environment" },
      p: { steps: 1, what: "environment", kind: "prepare" },
    });
    const secrets = { WANDB_API_KEY: "w".repeat(40), HF_TOKEN: "hf_12345678", MY_OWN_THING: "x" };
    const kept = {
      LC_ALL: "C.UTF-8",
      HF_HOME: "/hf",
      https_proxy: "http://p",
      OMP_NUM_THREADS: "1",
    };
    await runUnruly(toy, runs, plan, {}, { ...secrets, ...kept });
    const environmentOf = (stage: string) => {
      const log = stageFile(runs, stage, "out.log");
      return JSON.parse(/^environment (.*)$/m.exec(log)![1]!) as Record<string, string>;
    };
    expect(environmentOf("a")).toMatchObject({ ...kept, PATH: process.env["PATH"] });
    expect(environmentOf("a")["DLLM_ATTEMPT_ID"]).toMatch(/^[0-9a-f]{16}\.1\.\d+\.\d+$/);
    for (const name of Object.keys(secrets)) expect(environmentOf("a")).not.toHaveProperty(name);
    expect(environmentOf("p")).toMatchObject({ HF_TOKEN: "hf_12345678" });
    expect(environmentOf("p")).not.toHaveProperty("WANDB_API_KEY");
  });
});

test("an artifact that nobody wrote to is not hashed again; one that was is", async () => {
  await inTemporaryDirectory(async (runs) => {
    const plan = unrulyPlan({ a: { steps: 1 } });
    await runUnruly(toy, runs, plan);
    const stamps = stageFile(runs, "a", "verified.json");
    expect(JSON.parse(stamps)).toMatchObject({
      schema: 1,
      stamps: { "state.txt": expect.stringMatching(/^\d+:64:/) as string },
    });
    const state = join(runs, "toy", "stages", "a", "output", "state.txt");
    const before = readFileSync(state, "utf8");
    writeFileSync(
      state,
      before.replace(/^./, (digit) => (digit === "0" ? "1" : "0")),
    );
    const { events } = await runUnruly(toy, runs, plan);
    expect(eventsOf(events, "quarantined")).toHaveLength(1);
    expect(eventsOf(events, "stage-finished")).toHaveLength(1);
    expect(lockHolder(join(runs, "toy", "run.lock"))).toBeUndefined();
  });
});
