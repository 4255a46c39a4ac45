/** @file Learning rates and step numbers against transformers' schedulers and Trainer. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import type { TrainSettings } from "../../src/recipe/schema.js";
import { createLrSchedule, intervalSteps } from "../../src/train/lr-schedule.js";
import { goldenDirectory, printGolden } from "../support/golden.js";

const golden = goldenDirectory();

interface LrRow {
  kind: TrainSettings["lr_scheduler_type"];
  max_steps: number;
  warmup_steps: number;
  peak: number;
  k: number[];
  lr: number[];
}

interface StepRow {
  max_steps: number;
  ratio: number;
  warmup_steps: number;
  "logging/eval/save_steps": number[];
}

describe.skipIf(!golden)("learning-rate schedules", () => {
  const read = <Row>(name: string): Row[] =>
    (JSON.parse(readFileSync(join(golden!, "schedule", name), "utf8")) as { rows: Row[] }).rows;

  test("every rate of every schedule", () => {
    let worst = 0;
    let compared = 0;
    for (const row of read<LrRow>("lr.json")) {
      const schedule = createLrSchedule(
        {
          learning_rate: row.peak,
          lr_scheduler_type: row.kind,
          warmup_steps: row.warmup_steps,
          warmup_ratio: 0,
        },
        row.max_steps,
      );
      row.k.forEach((k, i) => {
        const difference = Math.abs(schedule.at(k) - row.lr[i]!) / row.peak;
        worst = Math.max(worst, difference);
        compared++;
        expect(difference, `${row.kind} step ${k}`).toBeLessThanOrEqual(1e-12);
      });
    }
    expect(compared).toBeGreaterThan(100);
    printGolden("learning rates", compared, worst);
  });

  test("warm-up and interval steps of a ratio", () => {
    const rows = read<StepRow>("trainer_steps.json");
    for (const row of rows) {
      const settings = {
        learning_rate: 1,
        lr_scheduler_type: "cosine" as const,
        warmup_steps: 0,
        warmup_ratio: row.ratio,
      };
      expect(createLrSchedule(settings, row.max_steps).warmupSteps).toBe(row.warmup_steps);
      for (const steps of row["logging/eval/save_steps"]) {
        expect(intervalSteps(row.ratio, row.max_steps)).toBe(steps);
      }
    }
    expect(rows.length).toBeGreaterThan(5);
    printGolden("warm-up, logging, eval and save steps", rows.length);
  });
});
