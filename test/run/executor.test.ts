/** @file The executor against toy stages that do everything a stage may do. */
import { existsSync, readFileSync, readlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, test, vi } from "vitest";
import type { StampedEvent } from "../../src/report/events.js";
import { readJournal } from "../../src/run/journal.js";
import { runPaths } from "../../src/run/run-paths.js";
import { readRunStatus } from "../../src/run/run-status.js";
import { inMemoryDirectory } from "../support/temporary-directory.js";
import {
  artifacts,
  bundleToy,
  finalStates,
  isRunning,
  runToy,
  startToy,
  toyPlan,
  type Toy,
} from "./toy-runs.js";

vi.setConfig({ testTimeout: 60_000 });

let toy: Toy;
beforeAll(async () => {
  toy = await bundleToy();
});

const calm = { steps: 6, saveEvery: 2 };

/** Names of the events but progress and checkpoints, with their stages. */
function story(events: readonly StampedEvent[]): string[] {
  return events
    .filter(({ event }) => !/^(stage-progress|checkpoint-.*)$/.test(event))
    .map((event) => ("stage" in event ? `${event.event} ${event.stage}` : event.event));
}

function stageDirectory(runs: string, id: string): string {
  return join(runs, "toy", "stages", id);
}

describe("finished stages", () => {
  test("are reused: a second run does nothing", async () => {
    await inMemoryDirectory(async (runs) => {
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
      expect(story(second.events)).toEqual([
        "run-started",
        "stage-reused pretrain",
        "stage-reused sft",
        "stage-reused eval",
        "run-finished",
      ]);
      expect(artifacts(runs, plan)).toEqual(hashes);
      const { records, badLines } = readJournal(runPaths(runs, "toy"));
      expect(badLines).toBe(0);
      expect(story(records)).toEqual([...story(first.events), ...story(second.events)]);
    });
  });

  test("are shared by fingerprint: a change runs what follows it, and back again nothing", async () => {
    await inMemoryDirectory(async (runs) => {
      const plan = toyPlan(calm, calm, calm);
      await runToy(toy, runs, plan);
      const before = finalStates(runs, plan);
      const changed = toyPlan(calm, { steps: 7, saveEvery: 2 }, calm);
      const { events } = await runToy(toy, runs, changed);
      expect(events.at(-1)).toMatchObject({ ran: ["sft", "eval"], reused: ["pretrain"] });
      const after = finalStates(runs, changed);
      expect(after[0]).toBe(before[0]);
      expect(after[2]).not.toBe(before[2]);
      const back = await runToy(toy, runs, plan);
      expect(back.events.at(-1)).toMatchObject({ ran: [], reused: ["pretrain", "sft", "eval"] });
      expect(finalStates(runs, plan)).toEqual(before);
    });
  });

  test("that are damaged are set aside, reported and computed again", async () => {
    await inMemoryDirectory(async (runs) => {
      const plan = toyPlan(calm, calm);
      await runToy(toy, runs, plan);
      const hashes = artifacts(runs, plan);
      const output = join(stageDirectory(runs, "pretrain"), "output");
      const state = readFileSync(join(output, "state.txt"), "utf8");
      writeFileSync(join(output, "state.txt"), state.replace(/^./, "z"));

      const { code, events } = await runToy(toy, runs, plan);
      expect(code).toBe(0);
      expect(events.find(({ event }) => event === "quarantined")).toMatchObject({
        stage: "pretrain",
        problem: expect.stringMatching(/state\.txt: damaged: found sha256/) as string,
        movedTo: expect.stringMatching(/output\.bad$/) as string,
      });
      expect(events.at(-1)).toMatchObject({ ran: ["pretrain"], reused: ["sft"] });
      expect(artifacts(runs, plan)).toEqual(hashes);
      expect(readFileSync(join(`${output}.bad`, "state.txt"), "utf8")).toMatch(/^z/);
    });
  });

  test("with a damaged result are completed without computing, or computed again", async () => {
    await inMemoryDirectory(async (runs) => {
      const plan = toyPlan(calm);
      await runToy(toy, runs, plan);
      const hashes = artifacts(runs, plan);
      writeFileSync(join(stageDirectory(runs, "pretrain"), "result.json"), '{"schema":1,');
      const { code, events } = await runToy(toy, runs, plan);
      expect(code).toBe(0);
      expect(story(events)).toContain("quarantined pretrain");
      expect(artifacts(runs, plan)).toEqual(hashes);
    });
  });
});

describe("a failing stage", () => {
  test.each([
    [
      "bad-data",
      65,
      "invalid_data",
      "stage pretrain: rows.jsonl:3: no messages",
      ["expected a list", /^its log: .*out\.log$/],
    ],
    [
      "bug",
      70,
      "code_error",
      "stage pretrain: unexpected error in stage pretrain: x is not a function",
      [/this is a bug in dllm/, /^its log: /],
    ],
    [
      "exit-zero",
      1,
      "incomplete_output",
      "stage pretrain: its process ended well but left no complete result",
      [/result\.json is missing$/, /^its log: /],
    ],
    [
      "exit-zero-without-output",
      1,
      "incomplete_output",
      "stage pretrain: its process ended well but left no complete result",
      [/output\/MANIFEST\.json: damaged: found no manifest/, /^its log: /],
    ],
    [
      "crash",
      1,
      "killed",
      "stage pretrain: its process was killed by SIGABRT",
      ["run the command again to resume at step 2"],
    ],
    [
      "exit-nine",
      1,
      "failed",
      "stage pretrain: its process ended with exit code 9",
      [/^its log: /, "begins at step 0", "last words"],
    ],
  ] as const)("by %s", async (misbehave, exitCode, reason, message, details) => {
    await inMemoryDirectory(async (runs) => {
      const plan = toyPlan({ ...calm, misbehave, at: 3 }, calm);
      const { code, stderr, events } = await runToy(toy, runs, plan);
      expect(code).toBe(exitCode);
      expect(stderr).toBe(`${message}\n`);
      const failure = events.find(({ event }) => event === "stage-failed");
      expect(failure).toMatchObject({ stage: "pretrain", reason, exitCode, message });
      const found = (failure as unknown as { details: string[] }).details;
      expect(found).toHaveLength(details.length);
      details.forEach((detail, i) => {
        if (typeof detail === "string") expect(found[i]).toBe(detail);
        else expect(found[i]).toMatch(detail);
      });
      expect(events.at(-1)).toMatchObject({ status: "failed", exitCode, ran: [], reused: [] });
      expect(story(events)).not.toContain("stage-started sft");
      expect(existsSync(join(stageDirectory(runs, "sft"), "spec.json"))).toBe(false);
    });
  });

  test("shows in the status of the run, and is never taken for done", async () => {
    await inMemoryDirectory(async (runs) => {
      const plan = toyPlan(calm, { ...calm, misbehave: "bad-data", at: 3 }, calm);
      await runToy(toy, runs, plan);
      expect(readRunStatus(join(runs, "toy"))).toMatchObject({
        state: "failed",
        stages: [
          { id: "pretrain", state: "finished" },
          { id: "sft", state: "failed", checkpointStep: 2 },
          { id: "eval", state: "waiting" },
        ],
      });
      const again = await runToy(toy, runs, plan);
      expect(again.code).toBe(65);
      expect(again.events.at(-1)).toMatchObject({ reused: ["pretrain"], ran: [] });
    });
  });
});

test("a stage's output goes to a file, and what it leaves running is ended", async () => {
  await inMemoryDirectory(async (runs) => {
    const run = startToy(
      toy,
      runs,
      toyPlan({ ...calm, misbehave: "daemon", at: 3 }, { ...calm, misbehave: "hang", at: 2 }),
    );
    // The second stage hangs: its process can be looked at.
    await run.misbehaving("sft");
    const started = run.events.filter(({ event }) => event === "stage-started");
    const { pid } = started[1] as unknown as { pid: number };
    for (const descriptor of [1, 2]) {
      expect(readlinkSync(`/proc/${pid}/fd/${descriptor}`)).toMatch(/out\.log$/);
    }
    expect(readlinkSync(`/proc/${pid}/fd/0`)).toBe("/dev/null");
    const log = readFileSync(join(stageDirectory(runs, "pretrain"), "out.log"), "utf8");
    const daemon = Number(/^daemon (\d+)$/m.exec(log)?.[1]);
    expect(daemon).toBeGreaterThan(1);
    expect(isRunning(daemon)).toBe(false);
    run.child.kill("SIGTERM");
    await run.exited;
    expect(isRunning(pid)).toBe(false);
  });
});

test("a runs directory that cannot be written fails before any stage", async () => {
  await inMemoryDirectory(async (runs) => {
    writeFileSync(join(runs, "toy"), "a file");
    const { code, stderr, events } = await runToy(toy, runs, toyPlan(calm));
    expect(code).toBe(73);
    expect(stderr).toMatch(/^cannot create the directory .*\/toy\/stages: ENOTDIR/);
    expect(events).toEqual([]);
  });
});

describe("locks", () => {
  test("a second executor of a run is refused and told who holds it", async () => {
    await inMemoryDirectory(async (runs) => {
      const plan = toyPlan({ ...calm, misbehave: "hang", at: 2 });
      const first = startToy(toy, runs, plan);
      await first.event(({ event }) => event === "stage-started");
      const second = await runToy(toy, runs, plan);
      expect(second.code).toBe(75);
      expect(second.stderr).toMatch(
        new RegExp(`^\\S+/toy is in use by process ${first.child.pid} on \\S+ since `),
      );
      expect(second.events).toEqual([]);
      expect(readRunStatus(join(runs, "toy"))).toMatchObject({ state: "running" });

      // Freed by the kernel, however its holder dies.
      first.child.kill("SIGKILL");
      await first.exited;
      expect((await runToy(toy, runs, plan)).code).toBe(0);
    });
  });

  test("two runs that need the same stage compute it once", async () => {
    await inMemoryDirectory(async (runs) => {
      const plan = toyPlan({ ...calm, misbehave: "hang", at: 2 });
      const first = startToy(toy, runs, plan);
      await first.misbehaving("pretrain");
      const second = startToy(toy, runs, { ...plan, name: "other" });
      await second.event(({ event }) => event === "stage-waiting");
      first.child.kill("SIGTERM");
      await second.event(({ event }) => event === "stage-resumed");
      expect(await second.exited).toMatchObject({ code: 0 });
      expect(await first.exited).toMatchObject({ signal: "SIGTERM" });
      const log = readFileSync(join(stageDirectory(runs, "pretrain"), "out.log"), "utf8");
      expect(log.match(/begins at step/g)).toHaveLength(2);
      expect(log).toMatch(/begins at step 2/);
    });
  });
});
