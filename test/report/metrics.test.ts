import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { decimate, readMetrics, seriesOf } from "../../src/report/metrics.js";
import { inTemporaryDirectory } from "../support/temporary-directory.js";

const read = (text: string) =>
  inTemporaryDirectory((directory) => {
    const path = join(directory, "metrics.jsonl");
    writeFileSync(path, text);
    return Promise.resolve(readMetrics(path));
  });

test("a torn last line and bad lines are skipped, and bad ones are counted", async () => {
  const metrics = await read(
    [
      '{"step":10,"loss":2.5}',
      "not json",
      '{"loss":1}',
      '{"step":"10","loss":1}',
      "[1,2]",
      "",
      '{"step":20,"loss":2.25}',
      '{"step":30,"lo',
    ].join("\n"),
  );
  expect(seriesOf(metrics, "loss")).toEqual({ steps: [10, 20], values: [2.5, 2.25] });
  expect(metrics.badLines).toBe(5);
});

test("steps repeated after a resume count once, with their last values, in order", async () => {
  const metrics = await read(
    [
      '{"step":10,"loss":3}',
      '{"step":20,"loss":2}',
      '{"step":20,"eval_nll":2.5}',
      '{"step":30,"loss":1}',
      '{"step":20,"loss":2.125,"grad_norm":1}',
      "",
    ].join("\n"),
  );
  expect(seriesOf(metrics, "loss")).toEqual({ steps: [10, 20, 30], values: [3, 2.125, 1] });
  // An evaluation logs its figures in a record of its own.
  expect(seriesOf(metrics, "eval_nll")).toEqual({ steps: [20], values: [2.5] });
  expect(metrics.names).toEqual(["loss", "eval_nll", "grad_norm"]);
});

test("figures that are not finite are read from their text; other text is no figure", async () => {
  const metrics = await read('{"step":1,"loss":"NaN","a":"-Infinity","b":"text","c":null}\n');
  expect(seriesOf(metrics, "loss").values).toEqual([NaN]);
  expect(seriesOf(metrics, "a").values).toEqual([-Infinity]);
  expect(metrics.names).toEqual(["loss", "a"]);
});

test("an absent file has no records", () => {
  expect(readMetrics("/nonexistent/metrics.jsonl")).toEqual({
    records: [],
    names: [],
    badLines: 0,
  });
});

test("decimation keeps ends, peaks and what is not finite", () => {
  const steps = Array.from({ length: 50_000 }, (_, i) => i);
  const values = steps.map((i) => Math.sin(i / 5000));
  values[12_345] = 99;
  values[23_456] = -99;
  values[34_567] = NaN;
  const kept = decimate({ steps, values }, 1000);
  expect(kept.steps.length).toBeLessThanOrEqual(1010);
  expect(kept.steps.length).toBeGreaterThan(500);
  expect([kept.steps[0], kept.steps.at(-1)]).toEqual([0, 49_999]);
  for (const step of [12_345, 23_456, 34_567]) {
    expect(kept.values[kept.steps.indexOf(step)]).toEqual(values[step]);
  }
  expect(kept.steps).toEqual([...kept.steps].sort((a, b) => a - b));
  expect(decimate({ steps: [1, 2], values: [3, 4] }, 1000)).toEqual({
    steps: [1, 2],
    values: [3, 4],
  });
});
