/** @file Trials of a sweep: grids, distributions, identity, rungs, bounds. */
import { describe, expect, test } from "vitest";
import { earlyTerminationOf, expandSweep } from "../../src/plan/sweep.js";
import type { SweepSettings } from "../../src/recipe/schema.js";

type Parameters = SweepSettings["parameters"];

const grid = (parameters: Parameters, rest: Partial<SweepSettings> = {}) =>
  expandSweep({ method: "grid", seed: 0, parameters, ...rest });

const DRAWS = 4000;

/** Draws of one parameter, sorted. */
function draws(parameter: Parameters[string], seed = 1): number[] {
  const sweep = { method: "random", seed, run_cap: DRAWS, parameters: { x: parameter } } as const;
  return expandSweep(sweep)
    .map(({ parameters }) => parameters["x"] as number)
    .sort((a, b) => a - b);
}

const share = (values: readonly number[], test: (x: number) => boolean) =>
  values.filter(test).length / values.length;

// The share of DRAWS draws is off by less than 5 standard errors of at most 0.5 / sqrt(DRAWS).
const TOLERANCE = (5 * 0.5) / Math.sqrt(DRAWS);

describe("grid", () => {
  test("every combination, the last parameter fastest", () => {
    const trials = grid({ a: { values: [1, 2] }, b: { values: ["x", "y"] }, c: { value: true } });
    expect(trials.map(({ parameters }) => parameters)).toEqual([
      { a: 1, b: "x", c: true },
      { a: 1, b: "y", c: true },
      { a: 2, b: "x", c: true },
      { a: 2, b: "y", c: true },
    ]);
    expect(grid({ a: { values: [1, 2] } }, { run_cap: 1 })).toHaveLength(1);
  });

  test("integers and steps between bounds, without what floats add", () => {
    const values = (parameter: Parameters[string]) =>
      grid({ a: parameter }).map((t) => t.parameters["a"]);
    expect(values({ min: 2, max: 5 })).toEqual([2, 3, 4, 5]);
    expect(values({ distribution: "q_uniform", min: 0.1, max: 0.7, q: 0.2 })).toEqual([
      0.1, 0.3, 0.5, 0.7,
    ]);
    expect(values({ values: [[1], [2, 3]] })).toEqual([[1], [2, 3]]);
  });

  test("equal values are one trial", () => {
    expect(grid({ a: { values: [1, 1.0, 2] } })).toHaveLength(2);
  });

  test("more trials than any experiment has are counted, not made", () => {
    const parameter = { min: 1, max: 1000 };
    expect(() => grid({ a: parameter, b: parameter })).toThrow(
      "the sweep has 1000000 trials, expected at most 100000",
    );
    expect(() => grid({ a: { min: 1, max: 1e15 } })).toThrow(
      "a has 1000000000000000 values, expected at most 100000 trials",
    );
    const started = performance.now();
    expect(grid({ a: parameter, b: { min: 1, max: 100 } })).toHaveLength(100_000);
    expect(performance.now() - started).toBeLessThan(10_000);
    expect(grid({ a: parameter, b: parameter }, { run_cap: 7 })).toHaveLength(7);
  });
});

describe("random", () => {
  test("uniform and int_uniform", () => {
    const uniform = draws({ min: 0.5, max: 2.5 });
    expect(uniform[0]).toBeGreaterThanOrEqual(0.5);
    expect(uniform.at(-1)).toBeLessThan(2.5);
    for (const limit of [1, 1.5, 2]) {
      expect(Math.abs(share(uniform, (x) => x < limit) - (limit - 0.5) / 2)).toBeLessThan(
        TOLERANCE,
      );
    }
    const integers = expandInt({ min: -1, max: 2 });
    expect([...integers.keys()].sort((a, b) => a - b)).toEqual([-1, 0, 1, 2]);
  });

  /** Distinct integer draws. */
  function expandInt(parameter: Parameters[string]): Map<number, number> {
    return new Map(draws(parameter).map((x) => [x, 1]));
  }

  test.each(["log_uniform_values", "inv_log_uniform_values"] as const)("%s", (distribution) => {
    const values = draws({ distribution, min: 1e-5, max: 1e-1 });
    expect(values[0]).toBeGreaterThanOrEqual(1e-5 * (1 - 1e-12));
    expect(values.at(-1)).toBeLessThanOrEqual(1e-1 * (1 + 1e-12));
    // The median is the geometric mean of the bounds, and each decade has a quarter.
    for (const [limit, expected] of [
      [1e-4, 0.25],
      [1e-3, 0.5],
      [1e-2, 0.75],
    ] as const) {
      expect(Math.abs(share(values, (x) => x < limit) - expected)).toBeLessThan(TOLERANCE);
    }
  });

  test("log_uniform has the logarithms of its bounds, inv_log_uniform those of the inverse", () => {
    const log = draws({ distribution: "log_uniform", min: -3, max: -1 });
    expect(log[0]).toBeGreaterThanOrEqual(Math.exp(-3));
    expect(log.at(-1)).toBeLessThanOrEqual(Math.exp(-1));
    expect(Math.abs(share(log, (x) => x < Math.exp(-2)) - 0.5)).toBeLessThan(TOLERANCE);
    const inverse = draws({ distribution: "inv_log_uniform", min: 1, max: 3 });
    expect(inverse[0]).toBeGreaterThanOrEqual(Math.exp(-3));
    expect(inverse.at(-1)).toBeLessThanOrEqual(Math.exp(-1));
  });

  test("normal and log_normal", () => {
    const normal = draws({ distribution: "normal", mu: 3, sigma: 2 });
    expect(Math.abs(share(normal, (x) => x < 3) - 0.5)).toBeLessThan(TOLERANCE);
    expect(Math.abs(share(normal, (x) => x < 5) - 0.8413)).toBeLessThan(TOLERANCE);
    const logNormal = draws({ distribution: "log_normal", mu: 0, sigma: 1 });
    expect(logNormal[0]).toBeGreaterThan(0);
    expect(Math.abs(share(logNormal, (x) => x < 1) - 0.5)).toBeLessThan(TOLERANCE);
    expect(draws({ distribution: "normal", mu: 3, sigma: 0 })).toEqual([3]);
  });

  test.each([
    ["q_uniform", { min: 0, max: 1, q: 0.1 }],
    ["q_log_uniform_values", { min: 0.1, max: 10, q: 0.1 }],
    ["q_log_uniform", { min: -2, max: 2, q: 0.1 }],
    ["q_normal", { mu: 0, sigma: 1, q: 0.1 }],
    ["q_log_normal", { mu: 0, sigma: 1, q: 0.1 }],
  ] as const)("%s draws multiples of q, written as such", (distribution, rest) => {
    const values = draws({ distribution, ...rest });
    expect(values.length).toBeGreaterThan(8);
    for (const x of values) expect(String(x)).toMatch(/^-?\d+(\.\d)?$/);
  });

  test("categorical, with probabilities or without", () => {
    const count = (parameter: Parameters[string]) => {
      // A parameter beside it, or equal draws would be one trial.
      const parameters = { x: parameter, id: { distribution: "normal", mu: 0, sigma: 1 } } as const;
      const trials = expandSweep({ method: "random", seed: 3, run_cap: DRAWS, parameters });
      return (value: string) =>
        trials.filter((trial) => trial.parameters["x"] === value).length / trials.length;
    };
    const even = count({ values: ["a", "b"] });
    expect(Math.abs(even("a") - 0.5)).toBeLessThan(TOLERANCE);
    const uneven = count({ values: ["a", "b", "c"], probabilities: [0.2, 0, 0.8] });
    expect(Math.abs(uneven("a") - 0.2)).toBeLessThan(TOLERANCE);
    expect(uneven("b")).toBe(0);
    expect(Math.abs(uneven("c") - 0.8)).toBeLessThan(TOLERANCE);
  });

  test("a sweep is the same in every run, longer with a higher run_cap, another by seed", () => {
    const parameters = { a: { min: 0.1, max: 1 }, b: { min: 1, max: 9 } };
    const of = (run_cap: number, seed = 0, all: Parameters = parameters) =>
      expandSweep({ method: "random", seed, run_cap, parameters: all });
    expect(of(5)).toEqual(of(5));
    expect(of(9).slice(0, 5)).toEqual(of(5));
    expect(of(5, 1)).not.toEqual(of(5));
    // Another parameter changes no draw of those that are there.
    const more = of(5, 0, { c: { min: 1, max: 2 }, ...parameters });
    expect(more.map(({ parameters: { a } }) => a)).toEqual(of(5).map((t) => t.parameters["a"]));
  });
});

describe("the id of a trial", () => {
  test("names its values, whatever their order", () => {
    const [one] = grid({
      "sft.learning_rate": { value: 3e-4 },
      "mask.schedule": { value: "cosine" },
    });
    const [other] = grid({
      "mask.schedule": { value: "cosine" },
      "sft.learning_rate": { value: 3e-4 },
    });
    expect(one?.id).toBe(other?.id);
    expect(one?.id).toMatch(/^schedule-cosine-learning_rate-0\.0003-[0-9a-f]{8}$/);
  });

  test("is a directory's name for any values, and unique", () => {
    const values = [
      "../../etc",
      "a/b",
      "",
      "-x",
      "é\u202e",
      "CON",
      "x".repeat(300),
      [1, "a"],
      { k: null },
      null,
    ];
    const trials = grid({ a: { values } });
    expect(new Set(trials.map(({ id }) => id)).size).toBe(values.length);
    for (const { id } of trials) expect(id).toMatch(/^[A-Za-z0-9][A-Za-z0-9._+-]{0,127}$/);
  });
});

describe("early_terminate", () => {
  const rungsOf = (rule: Partial<NonNullable<SweepSettings["early_terminate"]>>) =>
    earlyTerminationOf({
      method: "grid",
      seed: 0,
      metric: { name: "eval_loss", goal: "minimize" },
      parameters: { a: { value: 1 } },
      early_terminate: { type: "hyperband", eta: 3, ...rule },
    })?.rungs;

  test("from min_iter on, each eta times the one before", () => {
    expect(rungsOf({ min_iter: 3 })?.slice(0, 4)).toEqual([3, 9, 27, 81]);
    expect(rungsOf({ min_iter: 3, max_iter: 27 })).toEqual([3, 9, 27]);
    expect(rungsOf({ min_iter: 2, eta: 1.5, max_iter: 10 })).toEqual([2, 3, 5, 7]);
  });

  test("s rungs below max_iter", () => {
    expect(rungsOf({ max_iter: 27, s: 2 })).toEqual([3, 9]);
    expect(rungsOf({ max_iter: 8, s: 9, eta: 2 })).toEqual([1, 2, 4]);
  });

  test("none", () => {
    expect(
      earlyTerminationOf({ method: "grid", seed: 0, parameters: { a: { value: 1 } } }),
    ).toBeUndefined();
  });
});
