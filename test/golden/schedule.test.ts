/** @file Alpha schedules and loss weights against the reference (golden/schedule/README.md). */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import {
  alphaSchedules,
  lossWeight,
  maskProbability,
  reverseMaskProbability,
} from "../../src/diffusion/alpha-schedule.js";
import { goldenDirectory, printGolden } from "../support/golden.js";

interface AlphaRow {
  alpha: number;
  alpha_derivative: number;
  weight_tensor_in: number;
  mask_prob_tensor_in: number;
}
interface AlphaGolden {
  rows: (Record<"linear" | "cosine", AlphaRow> & { t: number })[];
  errors: { call: string; schedule: "linear" | "cosine"; error: string }[];
}
interface ReverseGolden {
  columns: string[];
  rows: [s: number, t: number, linear: number, cosine: number][];
}

const golden = goldenDirectory();
const read = (name: string): unknown =>
  JSON.parse(readFileSync(join(golden ?? "", "schedule", name), "utf8"));

const relative = (value: number, expected: number): number =>
  value === expected ? 0 : Math.abs(value - expected) / Math.max(Math.abs(expected), 1e-300);

describe.skipIf(golden === undefined)("golden schedule", () => {
  test("alpha, derivative, mask probability and weight", () => {
    const { rows } = read("alpha.json") as AlphaGolden;
    expect(rows.length).toBeGreaterThan(100);
    let worst = { alpha: 0, derivative: 0, maskProbability: 0, weight: 0 };
    for (const row of rows) {
      const { t } = row;
      const { linear, cosine } = alphaSchedules;
      expect([t, linear.alpha(t)]).toEqual([t, row.linear.alpha]);
      expect([t, linear.derivative(t)]).toEqual([t, row.linear.alpha_derivative]);
      expect([t, maskProbability(linear, t)]).toEqual([
        t,
        Math.fround(row.linear.mask_prob_tensor_in),
      ]);
      expect([t, lossWeight(linear, t)]).toEqual([t, Math.fround(row.linear.weight_tensor_in)]);

      // Cosine: libm's float32 cos and sin may differ in the last bit.
      const alpha = Math.abs(cosine.alpha(t) - row.cosine.alpha);
      const derivative = Math.abs(cosine.derivative(t) - row.cosine.alpha_derivative);
      const masked = relative(maskProbability(cosine, t), row.cosine.mask_prob_tensor_in);
      const weight = relative(lossWeight(cosine, t), row.cosine.weight_tensor_in);
      const weightAbsolute = Math.abs(lossWeight(cosine, t) - row.cosine.weight_tensor_in);
      expect(alpha, `alpha at ${t}`).toBeLessThanOrEqual(6e-8);
      expect(derivative, `derivative at ${t}`).toBeLessThanOrEqual(1.2e-7 * Math.PI);
      expect(
        Math.min(masked / 1.2e-7, Math.abs(alpha) / 6e-8),
        `mask probability at ${t}`,
      ).toBeLessThanOrEqual(1);
      expect(Math.min(weight / 1e-3, weightAbsolute / 1e-6), `weight at ${t}`).toBeLessThanOrEqual(
        1,
      );
      worst = {
        alpha: Math.max(worst.alpha, alpha),
        derivative: Math.max(worst.derivative, derivative),
        maskProbability: Math.max(worst.maskProbability, masked),
        weight: Math.max(worst.weight, Math.min(weight, weightAbsolute)),
      };
    }
    printGolden("schedule, linear", rows.length);
    printGolden("schedule, cosine", rows.length, Math.max(...Object.values(worst)));
  });

  test("reverse mask probability", () => {
    const { columns, rows } = read("reverse_mask_prob.json") as ReverseGolden;
    expect(columns).toEqual(["s", "t", "linear", "cosine"]);
    expect(rows.length).toBeGreaterThan(100);
    let worst = 0;
    for (const [s, t, linear, cosine] of rows) {
      expect([s, t, reverseMaskProbability(alphaSchedules.linear, s, t)]).toEqual([s, t, linear]);
      const difference = relative(reverseMaskProbability(alphaSchedules.cosine, s, t), cosine);
      // alpha is within 6e-8, so each mask probability p is within 6e-8 / p, relative.
      const [masked, maskedBefore] = [s, t].map((time) =>
        maskProbability(alphaSchedules.cosine, time),
      ) as [number, number];
      const tolerance = masked === 0 ? 0 : 1.2e-7 + 6e-8 / masked + 6e-8 / maskedBefore;
      expect(difference, `cosine s=${s} t=${t}`).toBeLessThanOrEqual(tolerance);
      worst = Math.max(worst, difference);
    }
    printGolden("reverse mask probability, linear", rows.length);
    printGolden("reverse mask probability, cosine", rows.length, worst);
  });

  test("calls that the reference rejects are rejected", () => {
    const { errors } = read("alpha.json") as AlphaGolden;
    expect(errors.length).toBeGreaterThan(0);
    for (const { call, schedule: name } of errors) {
      const schedule = alphaSchedules[name];
      const numbers = (call.match(/-?\d+\.\d+/g) ?? []).map(Number);
      const attempt = (): number =>
        call.startsWith("alpha")
          ? schedule.alpha(numbers[0]!)
          : call.startsWith("weight")
            ? lossWeight(schedule, numbers[0]!)
            : reverseMaskProbability(schedule, numbers[0]!, numbers[1]!);
      expect(attempt, `${name} ${call}`).toThrow(RangeError);
    }
  });
});
