/** @file The scheduler on random graphs with a simulated clock, and on the cases worth a name. */
import { describe, expect, test } from "vitest";
import { randomStream, type RandomStream } from "../../src/base/random.js";
import { gpuPool } from "../../src/run/gpu-slots.js";
import { createScheduler, type Grant, type Slots, type Task } from "../../src/run/scheduler.js";

interface SimTask extends Task {
  duration: number;
}

interface Span extends Grant {
  start: number;
  end: number;
}

/** Runs the schedule on a simulated clock; every task takes its duration. */
function simulate(tasks: readonly SimTask[], slots: Slots, isDone?: (id: string) => boolean) {
  const durations = new Map(tasks.map(({ id, duration }) => [id, duration]));
  const scheduler = createScheduler(tasks, slots);
  const spans: Span[] = [];
  let running: Span[] = [];
  let now = 0;
  for (;;) {
    for (const grant of scheduler.start(isDone)) {
      running.push({ ...grant, start: now, end: now + durations.get(grant.id)! });
    }
    if (running.length === 0) break;
    now = Math.min(...running.map(({ end }) => end));
    const ended = running.filter(({ end }) => end === now);
    running = running.filter(({ end }) => end !== now);
    for (const span of ended) {
      spans.push(span);
      scheduler.finish(span.id);
    }
  }
  expect(scheduler.isOver()).toBe(true);
  return { spans, makespan: now };
}

/** A random graph in topological order. */
function randomTasks(random: RandomStream): SimTask[] {
  const int = (limit: number) => Math.floor(random.uniform() * limit);
  const count = 1 + int(40);
  return Array.from({ length: count }, (_, i) => ({
    id: `t${i}`,
    needs: Array.from({ length: i === 0 ? 0 : int(4) }, () => `t${int(i)}`),
    threads: 1 + int(4),
    memoryBytes: int(10),
    gpus: int(3) === 0 ? 1 + int(2) : 0,
    ...(int(5) === 0 && { identity: `same${int(3)}` }),
    // Ties are worth having.
    duration: 1 + int(9),
  }));
}

/** No schedule is shorter: the longest chain, and the work spread evenly. */
function lowerBound(tasks: readonly SimTask[], slots: number): number {
  const chain = new Map<string, number>();
  for (const { id, needs, duration } of tasks) {
    chain.set(id, duration + Math.max(0, ...needs.map((need) => chain.get(need)!)));
  }
  const work = tasks.reduce((sum, { duration }) => sum + duration, 0);
  return Math.max(...chain.values(), work / slots);
}

describe("on random graphs", () => {
  test("slots are never given twice, each task runs once and after its needs", () => {
    const random = randomStream({ seed: 1, purpose: "split" });
    for (let round = 0; round < 300; round++) {
      const tasks = randomTasks(random);
      const slots: Slots = {
        tasks: 1 + Math.floor(random.uniform() * 5),
        threads: 1 + Math.floor(random.uniform() * 6),
        memoryBytes: 12,
        gpus: ["GPU-a", "GPU-b", "GPU-c"].slice(0, Math.floor(random.uniform() * 4)),
      };
      const { spans } = simulate(tasks, slots);
      expect(spans.map(({ id }) => id).sort()).toEqual(tasks.map(({ id }) => id).sort());
      const byId = new Map(spans.map((span) => [span.id, span]));
      for (const { id, needs } of tasks) {
        for (const need of needs) {
          expect(byId.get(id)!.start).toBeGreaterThanOrEqual(byId.get(need)!.end);
        }
      }
      for (const { start: at } of spans) {
        const during = spans.filter(({ start, end }) => start <= at && at < end);
        expect(during.length).toBeLessThanOrEqual(slots.tasks);
        const threads = during.reduce((sum, each) => sum + each.threads, 0);
        expect(threads).toBeLessThanOrEqual(slots.threads);
        const gpus = during.flatMap((each) => each.gpus);
        expect(new Set(gpus).size).toBe(gpus.length);
        const held = during.map(({ id }) => tasks.find((task) => task.id === id)!);
        const memory = held.reduce((sum, task) => sum + task.memoryBytes!, 0);
        expect(memory).toBeLessThanOrEqual(slots.memoryBytes!);
        const identities = held.flatMap(({ identity }) => identity ?? []);
        expect(new Set(identities).size).toBe(identities.length);
      }
    }
  });

  test("m equal slots end within (2 - 1/m) of the best possible time", () => {
    const random = randomStream({ seed: 2, purpose: "split" });
    let worst = 0;
    for (let round = 0; round < 500; round++) {
      const tasks = randomTasks(random).map(({ id, needs, duration }) => {
        return { id, needs, duration, threads: 1 };
      });
      const m = 1 + Math.floor(random.uniform() * 6);
      const { makespan } = simulate(tasks, { tasks: m, threads: m });
      const ratio = makespan / lowerBound(tasks, m);
      expect(ratio).toBeLessThanOrEqual(2 - 1 / m + 1e-9);
      worst = Math.max(worst, ratio);
    }
    // The bound is not met for lack of contention.
    expect(worst).toBeGreaterThan(1.1);
  });

  test("what fails takes with it what needs it, and nothing else", () => {
    const random = randomStream({ seed: 3, purpose: "split" });
    for (let round = 0; round < 200; round++) {
      const tasks = randomTasks(random);
      const scheduler = createScheduler(tasks, { tasks: 3, threads: 8 });
      const lost = new Set<string>();
      const done = new Set<string>();
      for (let grants = scheduler.start(); ; grants = scheduler.start()) {
        for (const { id } of grants) expect(lost.has(id)).toBe(false);
        const [id] = scheduler.running();
        if (id === undefined) break;
        if (random.uniform() < 0.2) for (const each of scheduler.abandon(id)) lost.add(each);
        else {
          scheduler.finish(id);
          done.add(id);
        }
      }
      expect(scheduler.isOver()).toBe(true);
      expect(done.size + lost.size).toBe(tasks.length);
      for (const { id, needs } of tasks) {
        if (done.has(id)) expect(needs.every((need) => done.has(need))).toBe(true);
      }
    }
  });
});

const task = (id: string, needs: string[] = [], threads = 1): SimTask => ({
  ...{ id, needs, threads, duration: 1 },
});

test("one slot keeps the plan's order", () => {
  const tasks = [task("a"), task("b", ["a"]), task("c"), task("d", ["b", "c"])];
  const { spans } = simulate(tasks, { tasks: 1, threads: 1 });
  expect(spans.map(({ id }) => id)).toEqual(["a", "b", "c", "d"]);
});

test("what is done takes no slot and no time, and is asked about before anything starts", () => {
  const tasks = [task("a"), task("b", ["a"]), task("c", ["b"]), task("d", ["c"])];
  const { spans } = simulate(tasks, { tasks: 1, threads: 1 }, (id) => id !== "c");
  expect(spans).toEqual([{ id: "c", threads: 1, gpus: [], memoryBytes: 0, start: 0, end: 1 }]);
});

test("a task that wants more than all gets all; needs outside of the schedule count as done", () => {
  const scheduler = createScheduler([task("a", ["elsewhere"], 64), task("b")], {
    tasks: 4,
    threads: 2,
  });
  expect(scheduler.start().map(({ id, threads }) => [id, threads])).toEqual([["a", 2]]);
  scheduler.finish("a");
  expect(scheduler.start().map(({ id }) => id)).toEqual(["b"]);
  expect(() => scheduler.finish("a")).toThrow("a ended, and was not running");
});

test("tens of thousands of tasks are scheduled at once", () => {
  const chain = Array.from({ length: 10_000 }, (_, i) => task(`c${i}`, i > 0 ? [`c${i - 1}`] : []));
  const wide = Array.from({ length: 10_000 }, (_, i) => task(`w${i}`));
  const started = performance.now();
  simulate([...chain, ...wide], { tasks: 4, threads: 4 }, (id) => !id.endsWith("7"));
  expect(performance.now() - started).toBeLessThan(5000);
});

test.each([
  [undefined, ["0", "1", "2"]],
  ["", []],
  ["-1", []],
  ["2,0", ["2", "0"]],
  ["0,7,1", ["0"]],
  ["1,1", []],
  ["GPU-bbb, GPU-a", ["GPU-bbb", "GPU-a"]],
  ["GPU-zzz,0", []],
])("CUDA_VISIBLE_DEVICES=%s of three devices", (visible, expected) => {
  expect(gpuPool(visible, ["GPU-aaa", "GPU-bbb", "GPU-ccc"])).toEqual(expected);
});
