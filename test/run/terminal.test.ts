/** @file A run on a real pseudo-terminal (script(1)): the display, Ctrl-C, and a closed terminal. */
import { spawn, type ChildProcess } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, expect, test, vi } from "vitest";
import type { Plan } from "../../src/plan/plan.js";
import { readJournal } from "../../src/run/journal.js";
import { runPaths } from "../../src/run/run-paths.js";
import { inTemporaryDirectory } from "../support/temporary-directory.js";
import { isRunning, type Toy } from "./toy-runs.js";
import { bundleUnruly, eventsOf, unrulyPlan } from "./unruly-runs.js";

vi.setConfig({ testTimeout: 60_000 });

let toy: Toy;
beforeAll(async () => {
  toy = await bundleUnruly();
});

interface Terminal {
  child: ChildProcess;
  /** Everything drawn so far, without control sequences. */
  text(): string;
  shows(pattern: RegExp): Promise<void>;
  exited: Promise<number | null>;
}

/** Runs a plan with the live display on a terminal of 24 rows. */
function onTerminal(runs: string, plan: Plan): Terminal {
  const planFile = join(runs, "plan.json");
  writeFileSync(planFile, JSON.stringify(plan));
  const command = [process.execPath, toy.executorScript, runs, planFile, toy.stageScript];
  const quoted = command.map((word) => `'${word}'`).join(" ");
  const child = spawn("script", ["-qefc", `stty rows 24 cols 100; exec ${quoted}`, "/dev/null"], {
    env: { ...process.env, TOY_LIVE: "1", SHELL: "/bin/sh" },
    stdio: ["pipe", "pipe", "inherit"],
  });
  let raw = "";
  const watchers = new Set<() => void>();
  child.stdout.on("data", (data: Buffer) => {
    raw += data.toString();
    for (const watcher of watchers) watcher();
  });
  // eslint-disable-next-line no-control-regex
  const text = () => raw.replace(/\u001b\[[0-9;?]*[A-Za-z]/g, "");
  const exited = new Promise<number | null>((resolve) => child.once("close", resolve));
  const shows = (pattern: RegExp) =>
    new Promise<void>((resolve, reject) => {
      const look = () => pattern.test(text()) && resolve();
      watchers.add(look);
      look();
      void exited.then(() => reject(new Error(`ended without ${pattern.source}: ${text()}`)));
    });
  return { child, text, shows, exited };
}

/** Fifty stages of which the first two have finished when the third does what is said. */
function fifty(what: "hang" | "spin"): Plan {
  const stages = Array.from({ length: 50 }, (_, i) => [
    `stage-${i}`,
    { steps: 3, ...(i === 2 && { what, at: 1, attempts: 9 }) },
  ]);
  return unrulyPlan(Object.fromEntries(stages) as Parameters<typeof unrulyPlan>[0]);
}

function startedPid(runs: string): number {
  const { records } = readJournal(runPaths(runs, "toy"));
  return eventsOf(records, "stage-started").at(-1)!.pid;
}

test("fifty stages fit a small terminal, and Ctrl-C saves, ends by the signal and restores it", async () => {
  await inTemporaryDirectory(async (runs) => {
    const terminal = onTerminal(runs, fifty("hang"));
    await terminal.shows(/▸ stage-2 .*misbehaving/);
    await terminal.shows(/toy: 2 of 50 stages, 1 running/);
    expect(terminal.text()).toMatch(/✔ 2 finished/);
    expect(terminal.text()).toMatch(/· stage-5 .*\r?\n.*· 44 more waiting/);
    terminal.child.stdin!.write("\u0003");
    expect(await terminal.exited).toBe(130);
    expect(terminal.text()).toMatch(/■ stage-2 +stopped; it will resume at step 1/);
    const { records } = readJournal(runPaths(runs, "toy"));
    expect(records.at(-1)).toMatchObject({ event: "run-finished", status: "stopped" });
    expect(isRunning(startedPid(runs))).toBe(false);
  });
});

test("Ctrl-C twice ends at once what does not stop", async () => {
  await inTemporaryDirectory(async (runs) => {
    const terminal = onTerminal(runs, fifty("spin"));
    await terminal.shows(/▸ stage-2 .*misbehaving/);
    const pid = startedPid(runs);
    terminal.child.stdin!.write("\u0003");
    await terminal.shows(/stage-2 +stopping/);
    const asked = performance.now();
    terminal.child.stdin!.write("\u0003");
    expect(await terminal.exited).toBe(130);
    expect(performance.now() - asked).toBeLessThan(2000);
    expect(isRunning(pid)).toBe(false);
  });
});

test("a terminal that is closed saves the state", async () => {
  await inTemporaryDirectory(async (runs) => {
    const terminal = onTerminal(runs, fifty("hang"));
    await terminal.shows(/▸ stage-2 .*misbehaving/);
    const pid = startedPid(runs);
    // The master side goes away with script(1): the kernel sends HUP.
    terminal.child.kill("SIGKILL");
    await vi.waitFor(
      () => {
        const { records } = readJournal(runPaths(runs, "toy"));
        expect(records.at(-1)).toMatchObject({ event: "run-finished", status: "stopped" });
        expect(eventsOf(records, "stage-stopped")).toMatchObject([{ checkpointStep: 1 }]);
      },
      { timeout: 20_000, interval: 20 },
    );
    expect(isRunning(pid)).toBe(false);
  });
});
