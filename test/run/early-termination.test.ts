/** @file Successive halving on simulated trials. */
import { expect, test } from "vitest";
import { randomStream } from "../../src/base/random.js";
import { createHalving, type EarlyStop } from "../../src/run/early-termination.js";

const rule = { type: "hyperband", rungs: [1, 3, 9], eta: 3 } as const;
const minimize = { name: "loss", goal: "minimize" } as const;

/** Reports value v of trial t for every [t, v]; returns who was stopped, and at which rung. */
function report(
  reports: readonly [string, number][],
  metric = minimize as { name: string; goal: "minimize" | "maximize" },
) {
  const halving = createHalving(metric, rule);
  const stopped = new Map<string, number>();
  for (const [trial, value] of reports) {
    if (stopped.has(trial)) continue;
    const stop = halving.report(trial, value);
    if (stop) stopped.set(trial, stop.rung);
  }
  return Object.fromEntries(stopped);
}

test("the first at a rung goes on, and what is worse than the best third is stopped", () => {
  expect(
    report([
      ["a", 5],
      ["b", 6],
      ["c", 4],
      ["d", 4.5],
    ]),
  ).toEqual({ b: 1 });
  expect(
    report(
      [
        ["a", 5],
        ["b", 6],
      ],
      { name: "acc", goal: "maximize" },
    ),
  ).toEqual({});
  expect(
    report(
      [
        ["a", 6],
        ["b", 5],
      ],
      { name: "acc", goal: "maximize" },
    ),
  ).toEqual({ b: 1 });
});

test("equals are not stopped, and what is no number is worst", () => {
  expect(
    report([
      ["a", 1],
      ["b", 1],
      ["c", 1],
      ["d", 1],
    ]),
  ).toEqual({});
  expect(
    report([
      ["a", NaN],
      ["b", NaN],
    ]),
  ).toEqual({});
  expect(
    report([
      ["a", 1],
      ["b", NaN],
      ["c", Infinity],
    ]),
  ).toEqual({ b: 1, c: 1 });
  expect(
    report(
      [
        ["a", 1],
        ["b", NaN],
      ],
      { name: "acc", goal: "maximize" },
    ),
  ).toEqual({ b: 1 });
});

test("only rungs judge, and by the best value up to there", () => {
  expect(
    report([
      ["a", 1],
      ["b", 1],
      ["a", 1],
      ["b", 9],
      ["a", 1],
      ["b", 9],
    ]),
  ).toEqual({});
  expect(
    report([
      ["a", 2],
      ["b", 2],
      ["a", 2],
      ["b", 3],
      ["a", 1],
      ["b", 3],
    ]),
  ).toEqual({ b: 3 });
});

test("what was only recorded sets the mark for others", () => {
  const halving = createHalving(minimize, rule);
  halving.record("finished", 1);
  expect(halving.report("new", 2)).toEqual({
    schema: 1,
    trial: "new",
    metric: minimize,
    earlyTermination: rule,
    rung: 1,
    value: 2,
    reached: 2,
    rank: 2,
  } satisfies EarlyStop);
});

test("of many trials the good ones survive at a fraction of the cost, the same every time", () => {
  const run = () => {
    const random = randomStream({ seed: 5, purpose: "split" });
    const halving = createHalving(minimize, rule);
    const quality = Array.from({ length: 81 }, () => random.uniform());
    const left = new Map(quality.map((q, i) => [String(i), { q, count: 0 }]));
    const finished: string[] = [];
    let cost = 0;
    while (left.size > 0) {
      // Whoever is quickest reports next.
      const names = [...left.keys()];
      const name = names[Math.floor(random.uniform() * names.length)]!;
      const trial = left.get(name)!;
      trial.count++;
      cost++;
      const noise = 0.02 * random.uniform();
      if (halving.report(name, trial.q + noise + 1 / trial.count)) left.delete(name);
      else if (trial.count === 9) {
        left.delete(name);
        finished.push(name);
      }
    }
    return { finished, cost, best: quality.indexOf(Math.min(...quality)) };
  };
  const { finished, cost, best } = run();
  expect(finished).toContain(String(best));
  expect(cost).toBeLessThan(0.6 * 81 * 9);
  expect(run()).toEqual({ finished, cost, best });
});
