/** @file What people read while a run runs. */
import { Writable } from "node:stream";
import { describe, expect, test } from "vitest";
import { createEta } from "../../src/report/eta.js";
import type { RunEvent, StampedEvent } from "../../src/report/events.js";
import { createLiveProgress } from "../../src/report/progress-live.js";
import { progressBar, progressText } from "../../src/report/progress-text.js";
import { createProgress } from "../../src/report/progress.js";
import { createRunView } from "../../src/report/run-view.js";

function stamped(event: RunEvent): StampedEvent {
  return { time: "2026-01-01T00:00:00.000Z", elapsed_s: 0, ...event };
}

const stages = [
  { id: "prepare", kind: "prepare", action: "reuse", reason: "finished before" },
  {
    id: "sft",
    kind: "sft",
    action: "run",
    reason: "learning_rate changed 0.1 -> 0.2 (x.yaml:3:4)",
  },
  { id: "eval", kind: "eval", action: "run", reason: "sft runs" },
].map((stage) => ({ ...stage, fingerprint: "f" })) as Extract<
  RunEvent,
  { event: "run-started" }
>["stages"];

const beginning: RunEvent[] = [
  { event: "run-started", run: "x", directory: "/runs/x", stages },
  { event: "stage-reused", stage: "prepare", reason: "finished before", fingerprint: "f" },
  {
    event: "stage-started",
    stage: "sft",
    fingerprint: "f",
    attempt: 2,
    pid: 1,
    threads: 1,
    gpus: [],
  },
  { event: "stage-resumed", stage: "sft", step: 100 },
];
const step = (done: number): RunEvent => ({
  event: "stage-progress",
  stage: "sft",
  done,
  total: 400,
  unit: "step",
  message: `loss ${done}\u001b[2J`,
});
const finished = (stage: string, seconds: number): RunEvent => ({
  event: "stage-finished",
  stage,
  seconds,
  peakRssBytes: 1,
  artifact: "a",
  metrics: {},
});
const end = (status: "ok" | "failed", exitCode: number): RunEvent => ({
  event: "run-finished",
  status,
  exitCode,
  seconds: 1,
  ran: [],
  reused: [],
  failed: [],
  skipped: [],
});

test("plain lines: start, reason, every ten seconds, end; no times of day, no escapes", async () => {
  let nowMs = 0;
  const out: string[] = [];
  const err: string[] = [];
  const progress = await createProgress({
    mode: "plain",
    out: (line) => out.push(line),
    err: (line) => err.push(line),
    now: () => nowMs,
  });
  for (const event of beginning) progress.sink(stamped(event));
  // Ten steps a second.
  for (let done = 101; done <= 400; done++) {
    nowMs += 100;
    progress.sink(stamped(step(done)));
  }
  progress.sink(stamped(finished("sft", 30)));
  const { stage, ...failure } = { stage: "eval", message: "m", details: [], exitCode: 65 };
  progress.sink(stamped({ event: "stage-failed", stage, reason: "failed", ...failure }));
  progress.sink(stamped(end("failed", 65)));
  await progress.end();
  expect(out).toEqual([
    "prepare: reused (finished before)",
    "sft: started (learning_rate changed 0.1 -> 0.2 (x.yaml:3:4))",
    "sft: resumed at step 100",
    "sft: step 200/400 (50 %), 20 s left, loss 200",
    "sft: step 300/400 (75 %), 10 s left, loss 300",
    "sft: step 400/400 (100 %), loss 400",
    "sft: finished in 30 s",
    "eval: failed",
  ]);
  expect(err).toEqual([]);
});

test("notices go to stderr at once", async () => {
  const err: string[] = [];
  const progress = await createProgress({
    mode: "plain",
    out: () => undefined,
    err: (line) => err.push(line),
    now: () => 0,
  });
  for (const event of beginning) progress.sink(stamped(event));
  progress.sink(
    stamped({
      event: "quarantined",
      stage: "sft",
      path: "/s/output",
      movedTo: "/s/output.bad",
      problem: "/s/output/a: damaged: found 1 bytes, expected 2 bytes",
    }),
  );
  progress.sink(stamped({ event: "stop-requested", stage: "sft", signal: "SIGINT" }));
  progress.sink(stamped({ event: "stop-requested", stage: "sft", signal: "SIGTERM" }));
  expect(err).toEqual([
    "warning: stage sft: /s/output/a: damaged: found 1 bytes, expected 2 bytes\n  moved aside to /s/output.bad; what it held is computed again",
    "stopping: stage sft is saving its state (press Ctrl-C again to stop at once)",
    "stopping: stage sft is saving its state",
  ]);
});

test("json: the events, one per line", async () => {
  const out: string[] = [];
  const progress = await createProgress({
    mode: "json",
    out: (line) => out.push(line),
    err: () => undefined,
    now: () => 0,
  });
  const events = [...beginning, step(101), finished("sft", 2), end("ok", 0)].map(stamped);
  for (const event of events) progress.sink(event);
  expect(out.map((line) => JSON.parse(line) as unknown)).toEqual(events);
});

/** A terminal that remembers what was written to it. */
function fakeTerminal(): NodeJS.WriteStream & { text(): string } {
  let text = "";
  const stream = new Writable({
    write(chunk: Buffer, _, done) {
      text += chunk.toString();
      done();
    },
  });
  return Object.assign(stream, { columns: 120, rows: 40, isTTY: true, text: () => text }) as never;
}

test.each([
  ["ok", [finished("sft", 30), finished("eval", 2), end("ok", 0)], /eval +finished in 2\.0 s/],
  [
    "failed",
    [
      {
        event: "stage-failed",
        stage: "sft",
        reason: "failed",
        exitCode: 1,
        message: "",
        details: [],
      },
      end("failed", 1),
    ] satisfies RunEvent[],
    /eval +not run/,
  ],
] as const)(
  "live display of a run that ends %s: draws, and leaves signals alone",
  async (_, ending, last) => {
    const listeners = process.listenerCount("SIGINT");
    const stdout = fakeTerminal();
    const err: string[] = [];
    const display = createLiveProgress({
      err: (line) => err.push(line),
      now: () => 0,
      stdout,
      stderr: fakeTerminal(),
    });
    for (const event of beginning) display.sink(stamped(event));
    // Let the display begin with the stage that runs.
    await new Promise((resolve) => setImmediate(resolve));
    display.sink(stamped(step(200)));
    expect(process.listenerCount("SIGINT")).toBe(listeners);
    for (const event of ending) display.sink(stamped(event));
    await display.end();
    expect(process.listenerCount("SIGINT")).toBe(listeners);
    // eslint-disable-next-line no-control-regex
    const text = stdout.text().replace(/\u001b\[[0-9;?]*[A-Za-z]/g, "");
    expect(text).toMatch(/prepare +reused: finished before/);
    expect(text).toMatch(last);
    expect(stdout.text().endsWith("\u001b[?25h")).toBe(true);
    expect(err).toEqual([]);
  },
);

test("bars and texts leave out what is unknown", () => {
  const base = { done: 3, unit: "row" };
  expect(progressText(base, undefined)).toBe("row 3");
  expect(progressText({ ...base, total: 4 }, 75)).toBe("row 3/4 (75 %), 1 min 15 s left");
  expect(progressText({ ...base, total: 4, message: "a\nb" }, undefined)).toBe(
    "row 3/4 (75 %), a b",
  );
  expect(progressBar(base, 8)).toBe("");
  expect(progressBar({ ...base, total: 4 }, 8)).toBe("██████░░");
  expect(progressBar({ ...base, done: 9, total: 4 }, 4)).toBe("████");
});

test("the time left is measured from the first report on, and not guessed", () => {
  const eta = createEta();
  const at = (done: number, nowMs: number) =>
    eta.update({ done, total: 1000, unit: "step" }, nowMs);
  expect(at(500, 0)).toBeUndefined();
  expect(at(510, 1000)).toBeUndefined();
  expect(at(520, 2000)).toBe(48);
  expect(at(1000, 9000)).toBe(0);
  // A new phase starts over.
  expect(at(10, 10_000)).toBeUndefined();
  expect(eta.update({ done: 30, unit: "step" }, 20_000)).toBeUndefined();
});

describe("a view of many stages", () => {
  const many = (count: number, trials?: number) => {
    const view = createRunView(() => 0);
    const all = Array.from({ length: count }, (_, i) => ({
      ...{ id: `s${i}`, kind: "sft", action: "run", reason: "no artifact yet", fingerprint: "f" },
    })) as unknown as typeof stages;
    const begin: RunEvent = { event: "run-started", run: "x", directory: "/x", stages: all };
    view.take(stamped({ ...begin, ...(trials !== undefined && { trials }) }));
    const take = (event: RunEvent) => view.take(stamped(event));
    const start = (stage: string) =>
      take({
        event: "stage-started",
        stage,
        fingerprint: "f",
        attempt: 1,
        pid: 1,
        threads: 1,
        gpus: [],
      });
    const fail = (stage: string) =>
      take({ event: "stage-failed", stage, reason: "oom", exitCode: 1, message: "", details: [] });
    return { view, take, start, fail };
  };

  test("shows what runs, failed and comes next, and counts the others", () => {
    const { view, take, start, fail } = many(50);
    for (let i = 0; i < 20; i++) {
      start(`s${i}`);
      take(finished(`s${i}`, 1));
    }
    take({ event: "stage-reused", stage: "s20", reason: "finished", fingerprint: "f" });
    fail("s21");
    take({ event: "stage-skipped", stage: "s22", because: "it needs s21, which failed" });
    start("s23");
    start("s24");
    take({ event: "stage-progress", stage: "s24", done: 1, total: 4, unit: "step" });
    expect(view.headline()).toBe("x: 21 of 50 stages, 2 running, 1 failed");
    expect(view.lines(20).map(({ state, text }) => `${state}: ${text}`)).toEqual([
      "reused: 1 reused",
      "finished: 20 finished",
      "skipped: 1 not run",
      "failed: s21  failed: oom",
      "running: s23  no artifact yet",
      "running: s24  █████░░░░░░░░░░░░░░░ step 1/4 (25 %)",
      "waiting: s25  no artifact yet",
      "waiting: s26  no artifact yet",
      "waiting: s27  no artifact yet",
      "waiting: 22 more waiting",
    ]);
    expect(view.lines(50)).toHaveLength(50);
  });

  test("never takes more lines than there are, whatever happens", () => {
    const { view, start, fail, take } = many(3000, 1000);
    for (let i = 0; i < 3000; i++) {
      start(`s${i}`);
      if (i % 7 === 0) fail(`s${i}`);
      else if (i % 5 !== 0) take(finished(`s${i}`, 1));
      if (i % 500 === 0) {
        for (const limit of [6, 10, 20])
          expect(view.lines(limit).length).toBeLessThanOrEqual(limit);
      }
    }
    take({
      event: "trial-stopped-early",
      trial: "t",
      rung: 1,
      metric: "loss",
      value: 1,
      rank: 2,
      reached: 2,
    });
    expect(view.headline()).toMatch(
      /^x: \d+ of 3000 stages, \d+ running, 429 failed, 1000 trials, 1 stopped early$/,
    );
    const texts = view.lines(20).map(({ text }) => text);
    expect(texts).toContain("424 more failed");
    expect(texts.filter((text) => /failed: oom/.test(text))).toHaveLength(5);
  });
});
