/** @file Runs with several stages at a time, failures between them, and parts of plans. */
import { existsSync, readFileSync, readdirSync, readlinkSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, test, vi } from "vitest";
import { readManifest } from "../../src/base/fs.js";
import type { SweepPlan } from "../../src/plan/trials.js";
import { readEarlyStop } from "../../src/run/trials.js";
import { inTemporaryDirectory } from "../support/temporary-directory.js";
import type { Toy } from "./toy-runs.js";
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

test("independent stages run at the same time and share the cores", async () => {
  await inTemporaryDirectory(async (runs) => {
    const hang = { steps: 2, what: "hang-until-save", at: 1, threads: 8 } as const;
    const plan = unrulyPlan({ a: hang, b: hang, c: { steps: 1, needs: ["a", "b"], threads: 8 } });
    const run = startUnruly(toy, runs, plan, { jobs: 2, cores: 8 });
    // Neither goes on before both are there.
    await run.misbehaving("a");
    await run.misbehaving("b");
    expect(
      eventsOf(run.events, "stage-started")
        .map(({ stage }) => stage)
        .sort(),
    ).toEqual(["a", "b"]);
    run.child.kill("SIGUSR2");
    expect(await run.exited).toMatchObject({ code: 0 });
    expect(eventsOf(run.events, "stage-started").map(({ threads }) => threads)).toEqual([4, 4, 4]);
    expect(stageFile(runs, "a", "out.log")).toMatch(/^threads 4$/m);
    expect(run.events.at(-1)).toMatchObject({ status: "ok", ran: expect.anything() as unknown });
  });
});

test("many stages, one after another and at the same time, are nothing to warn of", async () => {
  await inTemporaryDirectory(async (runs) => {
    const ids = Array.from({ length: 12 }, (_, i) => `stage-${i}`);
    const plan = unrulyPlan(Object.fromEntries(ids.map((id) => [id, { steps: 1 }])));
    const { code, stderr } = await runUnruly(toy, runs, plan, { jobs: 6, cores: 6 });
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  });
});

test("a stage that resumes keeps the threads that it began with", async () => {
  await inTemporaryDirectory(async (runs) => {
    const plan = unrulyPlan({ a: { steps: 3, what: "hang", at: 2, threads: 6 } });
    const first = startUnruly(toy, runs, plan, { jobs: 2, cores: 6 });
    await first.misbehaving("a");
    first.child.kill("SIGTERM");
    await first.exited;
    const resumed = plan.stages.map((stage) => ({ ...stage, action: "resume" as const }));
    await runUnruly(toy, runs, { ...plan, stages: resumed }, { jobs: 1, cores: 6 });
    expect(stageFile(runs, "a", "out.log").match(/^threads \d$/gm)).toEqual([
      "threads 3",
      "threads 3",
    ]);
  });
});

describe("a failure", () => {
  const plan = unrulyPlan({
    bad: { steps: 2, what: "diverge", at: 1 },
    after: { steps: 1, needs: ["bad"] },
    good: { steps: 1 },
    worse: { steps: 2, what: "no-memory", at: 1 },
  });

  test("ends the run, after what runs has ended", async () => {
    await inTemporaryDirectory(async (runs) => {
      const { code, events } = await runUnruly(toy, runs, plan);
      expect(code).toBe(1);
      expect(events.at(-1)).toMatchObject({
        status: "failed",
        failed: ["bad"],
        skipped: [],
        ran: [],
      });
    });
  });

  test("with keep-going keeps only what needs it from running; all are listed, exit code 1", async () => {
    await inTemporaryDirectory(async (runs) => {
      const { code, stderr, events } = await runUnruly(toy, runs, plan, { keepGoing: true });
      expect(code).toBe(1);
      expect(stderr.trim().split("\n")).toEqual([
        "stage bad: loss is NaN",
        "stage worse: unexpected error in stage worse: Array buffer allocation failed",
      ]);
      expect(eventsOf(events, "stage-skipped")).toMatchObject([
        { stage: "after", because: "it needs bad, which failed" },
      ]);
      expect(events.at(-1)).toMatchObject({
        ...{ status: "failed", exitCode: 1, failed: ["bad", "worse"] },
        ...{ skipped: ["after"], ran: ["good"] },
      });
    });
  });
});

describe("parts of a plan", () => {
  const plan = unrulyPlan({
    a: { steps: 1 },
    b: { steps: 2, needs: ["a"] },
    c: { steps: 3, needs: ["b"] },
    d: { steps: 4 },
  });

  test("--until runs what it needs, --from runs anew and keeps what was there", async () => {
    await inTemporaryDirectory(async (runs) => {
      const until = await runUnruly(toy, runs, plan, { until: ["b"] });
      expect(until.events.at(-1)).toMatchObject({ status: "ok", ran: ["a", "b"] });

      const early = await runUnruly(toy, runs, plan, { from: ["d"], until: ["c"] });
      expect(early.events.at(-1)).toMatchObject({ status: "ok", ran: [] });

      const before = readManifest(join(runs, "toy", "stages", "b", "output"));
      const from = await runUnruly(toy, runs, plan, { from: ["b"] });
      expect(from.events.at(-1)).toMatchObject({ status: "ok", ran: ["b", "c"], reused: [] });
      const b = join(runs, "toy", "stages", "b");
      expect(readdirSync(join(b, "superseded-1")).sort()).toEqual([
        "metrics.jsonl",
        "output",
        "result.json",
        "verified.json",
      ]);
      expect(readManifest(join(b, "superseded-1", "output"))).toEqual(before);
      expect(readManifest(join(b, "output"))).toEqual(before);
      expect(existsSync(join(runs, "toy", "stages", "c", "superseded-1"))).toBe(false);
      // Afterwards nothing is out of the ordinary.
      const all = await runUnruly(toy, runs, plan);
      expect(all.events.at(-1)).toMatchObject({ ran: ["d"], reused: ["a", "b", "c"] });
    });
  });

  test("interrupted --from: the next run resumes, and nothing is set aside twice", async () => {
    await inTemporaryDirectory(async (runs) => {
      const own = unrulyPlan({ a: { steps: 4, what: "hang", at: 2, attempts: 2 } });
      // The first attempt hangs; then it is finished once.
      const first = startUnruly(toy, runs, own);
      await first.misbehaving("a");
      first.child.kill("SIGTERM");
      await first.exited;
      const second = startUnruly(toy, runs, own);
      await second.misbehaving("a");
      second.child.kill("SIGTERM");
      await second.exited;
      expect((await runUnruly(toy, runs, own)).code).toBe(0);
      const state = stageFile(runs, "a", "output/state.txt");
      const anew = await runUnruly(toy, runs, own, { from: ["a"] });
      expect(anew.events.at(-1)).toMatchObject({ ran: ["a"] });
      expect(stageFile(runs, "a", "output/state.txt")).toBe(state);
      expect(stageFile(runs, "a", "superseded-1/output/state.txt")).toBe(state);
      expect(existsSync(join(runs, "toy", "stages", "a", "superseded-2"))).toBe(false);
    });
  });

  test("unknown stages and missing ground are told before anything runs", async () => {
    await inTemporaryDirectory(async (runs) => {
      const typo = await runUnruly(toy, runs, unrulyPlan({ pretrain: { steps: 1 } }), {
        until: ["pretrian"],
      });
      expect(typo).toMatchObject({ code: 2, events: [] });
      expect(typo.stderr).toBe(
        '--until pretrian: there is no such stage\n  stages: "pretrain"\n  did you mean "pretrain"?\n',
      );
      const early = await runUnruly(toy, runs, plan, { from: ["c"] });
      expect(early.code).toBe(66);
      expect(early.stderr).toMatch(
        /^stage c cannot be run from here: it needs b, which is not finished/,
      );
    });
  });
});

test("a run-level timeout saves, exits with 124, and the next run goes on", async () => {
  await inTemporaryDirectory(async (runs) => {
    const plan = unrulyPlan({ a: { steps: 4, what: "hang", at: 2 } });
    const { code, events } = await runUnruly(toy, runs, plan, { timeoutMs: 1500 });
    expect(code).toBe(124);
    expect(events.at(-1)).toMatchObject({ status: "stopped", exitCode: 124 });
    const next = await runUnruly(toy, runs, plan);
    expect(next.code).toBe(0);
    expect(eventsOf(next.events, "stage-resumed")).toHaveLength(1);
  });
});

test("too little space is refused before anything runs, and --force runs", async () => {
  await inTemporaryDirectory(async (runs) => {
    const plan = unrulyPlan({ a: { steps: 1 } });
    const refused = await runUnruly(toy, runs, plan, {
      disk: { bytes: 1e18, force: false } as never,
    });
    expect(refused.code).toBe(74);
    expect(refused.stderr).toMatch(
      /^\S+\/toy has [\d.]+ \w+ \(\d+ bytes\) free, and the run needs about .*\(1000000000000000000 bytes\)\n {2}largest: stage a/,
    );
    expect(eventsOf(refused.events, "stage-started")).toEqual([]);
    const forced = await runUnruly(toy, runs, plan, {
      disk: { bytes: 1e18, force: true } as never,
    });
    expect(forced.code).toBe(0);
    expect(eventsOf(forced.events, "warning")).toHaveLength(1);
  });
});

describe("a sweep", () => {
  const metric = { name: "loss", goal: "minimize" } as const;
  const trial = (id: string) => ({
    id,
    parameters: { "sft.learning_rate": id },
    stages: { prepare: "prepare", sft: `sft.${id}`, eval: `eval.${id}` },
  });

  test("shares stages, links trials, and a failed trial keeps none from running", async () => {
    await inTemporaryDirectory(async (runs) => {
      const sweep: SweepPlan = { method: "grid", trials: ["x", "y"].map(trial) };
      const stages = (what: "diverge" | "none") => ({
        prepare: { steps: 1 },
        // Fails in its first attempt only: the second run finds it in order.
        "sft.x": { steps: 2, needs: ["prepare"], what, at: 1, attempts: 1 },
        "eval.x": { steps: 1, needs: ["sft.x"] },
        "sft.y": { steps: 2, needs: ["prepare"] },
        "eval.y": { steps: 1, needs: ["sft.y"] },
      });
      const plan = unrulyPlan(stages("diverge"), sweep);
      const first = await runUnruly(toy, runs, plan);
      expect(first.code).toBe(1);
      expect(first.events.at(-1)).toMatchObject({
        ran: ["prepare", "sft.y", "eval.y"],
        ...{ failed: ["sft.x"], skipped: ["eval.x"] },
      });
      expect(eventsOf(first.events, "trial-finished")).toMatchObject([
        { trial: "x", status: "failed" },
        { trial: "y", status: "finished" },
      ]);
      const links = join(runs, "toy", "trials", "y", "stages");
      expect(readdirSync(links).sort()).toEqual(["eval", "prepare", "sft"]);
      expect(readlinkSync(join(links, "sft"))).toBe(
        `../../../../.store/stages/${plan.stages[3]!.fingerprint}`,
      );
      expect(readFileSync(join(links, "sft", "output", "state.txt"), "utf8")).toBe(
        stageFile(runs, "sft.y", "output/state.txt"),
      );

      const second = await runUnruly(toy, runs, plan);
      expect(second.code).toBe(0);
      expect(second.events.at(-1)).toMatchObject({
        ran: ["sft.x", "eval.x"],
        reused: ["prepare", "sft.y", "eval.y"],
      });
    });
  });

  test("stops a bad trial early, for good, with its checkpoint", async () => {
    await inTemporaryDirectory(async (runs) => {
      const sweep: SweepPlan = {
        ...{ method: "grid", metric, trials: ["good", "bad", "fair"].map(trial) },
        earlyTermination: { type: "hyperband", rungs: [2], eta: 2 },
      };
      const training = (lossScale: number) => ({ steps: 6, needs: ["prepare"], lossScale });
      const plan = unrulyPlan(
        {
          prepare: { steps: 1 },
          "sft.good": training(1),
          "eval.good": { steps: 1, needs: ["sft.good"] },
          // Hangs until it is stopped: nobody else would.
          "sft.bad": { ...training(9), what: "hang", at: 3 },
          "eval.bad": { steps: 1, needs: ["sft.bad"] },
          "sft.fair": training(0.9),
          "eval.fair": { steps: 1, needs: ["sft.fair"] },
        },
        sweep,
      );
      const first = await runUnruly(toy, runs, plan);
      expect(first).toMatchObject({ code: 0, stderr: "" });
      const decision = { trial: "bad", rung: 2, value: 4.5, rank: 2, reached: 2 };
      expect(eventsOf(first.events, "trial-stopped-early")).toMatchObject([
        { ...decision, metric: "loss" },
      ]);
      expect(first.events.at(-1)).toMatchObject({
        ...{ status: "ok", failed: [], skipped: ["eval.bad", "sft.bad"] },
        ran: ["prepare", "sft.good", "eval.good", "sft.fair", "eval.fair"],
      });
      expect(eventsOf(first.events, "trial-finished")).toMatchObject([
        { trial: "good", status: "finished" },
        { trial: "bad", status: "stopped_early" },
        { trial: "fair", status: "finished" },
      ]);
      expect(readEarlyStop(join(runs, "toy"), "bad")).toMatchObject(decision);
      const checkpoints = join(runs, "toy", "trials", "bad", "stages", "sft", "checkpoints");
      expect(readdirSync(checkpoints)).toEqual(["step-000003"]);

      const second = await runUnruly(toy, runs, plan);
      expect(second.code).toBe(0);
      expect(second.events.at(-1)).toMatchObject({ ran: [], skipped: ["sft.bad", "eval.bad"] });

      // Another rule: the decision does not hold, and the trial goes on at its checkpoint.
      const milder = { ...sweep, earlyTermination: { ...sweep.earlyTermination!, rungs: [5] } };
      const third = await runUnruly(toy, runs, {
        ...plan,
        sweep: { ...milder, trials: sweep.trials },
      });
      expect(eventsOf(third.events, "stage-resumed")).toMatchObject([
        { stage: "sft.bad", step: 3 },
      ]);
      expect(eventsOf(third.events, "trial-stopped-early")).toMatchObject([
        { trial: "bad", rung: 5 },
      ]);
    });
  });
});
