/**
 * @file Timesteps, masked positions, loss weights, losses and their gradient on given logits
 * (golden/schedule/README.md lossnorm.json, golden/gradients/README.md).
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { alphaSchedules } from "../../src/diffusion/alpha-schedule.js";
import {
  countOnes,
  createNllMeter,
  positionWeights,
  rowWeights,
  type LossNormType,
  type LossWeightType,
} from "../../src/diffusion/loss.js";
import { maskBatch, sampleTimestep, type MaskedBatch } from "../../src/diffusion/masking.js";
import { goldenDirectory, printGolden } from "../support/golden.js";

type ScheduleName = keyof typeof alphaSchedules;

interface Combination {
  schedule: ScheduleName;
  weight: LossWeightType;
  norm: LossNormType;
  loss: number;
}
interface InjectedCase {
  input_ids: number[][];
  labels: number[][];
  u_t: number[];
  u_mask: number[][];
  masked_linear: number[][];
  masked_cosine: number[][];
}
interface LossNormCase extends InjectedCase {
  logits: number[][][];
  head: (Combination & { nll?: number | "nan"; ppl?: number | "nan" })[];
  grad_logits: number[][][];
}
interface LossNormGolden {
  mask_id: number;
  time_epsilon: number;
  cases: LossNormCase[];
}
interface GradientCase extends InjectedCase {
  t: number[];
  losses: (Combination & { row_weight: number[]; sum_token_nll: number; maskable: number })[];
  token_nll_weighted: number[][];
}
interface GradientGolden {
  mask_id: number;
  time_epsilon: number;
  cases: Record<string, GradientCase>;
}

const golden = goldenDirectory();
const read = (...path: string[]): unknown =>
  JSON.parse(readFileSync(join(golden ?? "", ...path), "utf8"));

/** Masks a case as training does. */
function maskCase(
  injected: InjectedCase,
  { mask_id, time_epsilon }: { mask_id: number; time_epsilon: number },
  scheduleName: ScheduleName,
): MaskedBatch & { batch: number; seq: number; maskable: Uint8Array; times: Float32Array } {
  const batch = injected.input_ids.length;
  const seq = injected.input_ids[0]!.length;
  const maskable = Uint8Array.from(injected.labels.flat(), (label) => (label === -100 ? 0 : 1));
  const times = Float32Array.from(injected.u_t, (u) => sampleTimestep(u, time_epsilon));
  const masked = maskBatch({
    batch: { inputIds: Int32Array.from(injected.input_ids.flat()), maskable, batch, seq },
    times,
    uniforms: Float32Array.from(injected.u_mask.flat()),
    schedule: alphaSchedules[scheduleName],
    maskId: mask_id,
  });
  return { ...masked, batch, seq, maskable, times };
}

/** Flat indices of the positions listed per row. */
const flatten = (rows: number[][], seq: number): number[] =>
  rows.flatMap((columns, row) => columns.map((column) => row * seq + column));

function logSumExp(row: readonly number[]): number {
  const top = Math.max(...row);
  return top + Math.log(row.reduce((sum, value) => sum + Math.exp(value - top), 0));
}

const relative = (value: number, expected: number): number =>
  Math.abs(value - expected) / Math.max(Math.abs(expected), 1e-6);

describe.skipIf(golden === undefined)("golden loss", () => {
  test("losses, meter and logit gradients on given logits", () => {
    const file = read("schedule", "lossnorm.json") as LossNormGolden;
    expect(file.cases.length).toBeGreaterThan(5);
    let worst = 0;
    let worstGradient = 0;
    let combinations = 0;
    for (const [index, given] of file.cases.entries()) {
      const logits = given.logits.flat();
      for (const combination of given.head) {
        const { schedule: name, weight, norm, loss: expected } = combination;
        const label = `case ${index} ${name} ${weight} ${norm}`;
        const schedule = alphaSchedules[name];
        const masked = maskCase(given, file, name);
        const { positions, targets, seq, noisedIds } = masked;
        expect([...positions], label).toEqual(flatten(given[`masked_${name}`], seq));
        for (const position of positions) expect(noisedIds[position]).toBe(file.mask_id);
        const crossEntropies = [...positions].map(
          (position, i) => logSumExp(logits[position]!) - logits[position]![targets[i]!]!,
        );
        const lossTypes = { schedule, lossWeightType: weight, lossNormType: norm };
        const weights = positionWeights({ ...masked, ...lossTypes });
        const loss = crossEntropies.reduce((sum, ce, i) => sum + ce * weights[i]!, 0);
        worst = Math.max(worst, relative(loss, expected));
        expect(relative(loss, expected), label).toBeLessThanOrEqual(1e-6);
        combinations++;

        if (combination.nll !== undefined) {
          const perRow = rowWeights(masked.times, schedule, weight);
          const meter = createNllMeter();
          const weighted = crossEntropies.map(
            (ce, i) => ce * perRow[Math.floor(positions[i]! / seq)]!,
          );
          meter.add(
            weighted.reduce((sum, value) => sum + value, 0),
            countOnes(masked.maskable),
          );
          for (const key of ["nll", "ppl"] as const) {
            const value = meter.read()[key];
            const wanted = Number(combination[key]);
            if (Number.isNaN(wanted)) expect(value, `${label} ${key}`).toBeNaN();
            else {
              // exp() turns an absolute error of the nll into a relative one of the ppl.
              const tolerance = key === "nll" ? 1e-6 : 1e-6 * Math.max(1, meter.read().nll);
              expect(relative(value, wanted), `${label} ${key}`).toBeLessThanOrEqual(tolerance);
            }
          }
        }

        if (name === "linear" && weight === "scheduler" && norm === "token") {
          // d loss / d logits = weight (softmax - one-hot) at masked positions, else 0.
          given.grad_logits.flat().forEach((gradient, position) => {
            const slot = positions.indexOf(position);
            const row = logits[position]!;
            gradient.forEach((wanted, v) => {
              const value =
                slot < 0
                  ? 0
                  : weights[slot]! *
                    (Math.exp(row[v]! - logSumExp(row)) - (v === targets[slot]! ? 1 : 0));
              const difference = Math.abs(value - wanted) / Math.max(1, Math.abs(wanted));
              worstGradient = Math.max(worstGradient, difference);
              expect(difference, `${label} gradient`).toBeLessThanOrEqual(1e-6);
            });
          });
        }
      }
    }
    printGolden("loss on given logits", combinations, worst);
    printGolden("loss on given logits, gradient", file.cases.length, worstGradient);
  });

  test.each(["modernbert", "bert", "roberta"])(
    "timesteps, masked positions and row weights of %s gradients are exact",
    (family) => {
      const file = read("gradients", `${family}.json`) as GradientGolden;
      const cases = Object.entries(file.cases);
      expect(cases.length).toBeGreaterThan(0);
      let worst = 0;
      let rows = 0;
      for (const [name, given] of cases) {
        for (const combination of given.losses) {
          const { schedule: scheduleName, weight, norm } = combination;
          const label = `${family} ${name} ${scheduleName} ${weight} ${norm}`;
          const masked = maskCase(given, file, scheduleName);
          const { positions, seq, times, maskable } = masked;
          expect([...times], label).toEqual(given.t.map(Math.fround));
          expect([...positions], label).toEqual(flatten(given[`masked_${scheduleName}`], seq));
          expect(countOnes(maskable), label).toBe(combination.maskable);

          const schedule = alphaSchedules[scheduleName];
          const perRow = rowWeights(times, schedule, weight);
          const expected = combination.row_weight.map(Math.fround);
          if (scheduleName === "linear" || weight === "uniform") {
            expect([...perRow], label).toEqual(expected);
          } else {
            perRow.forEach((value, row) => {
              worst = Math.max(worst, relative(value, expected[row]!));
              expect(relative(value, expected[row]!), label).toBeLessThanOrEqual(1e-3);
            });
          }
          rows += perRow.length;

          if (scheduleName === "linear" && weight === "scheduler") {
            // token_nll_weighted already holds w * CE: dividing by w leaves the norm to check.
            const weights = positionWeights({
              ...masked,
              schedule,
              lossWeightType: weight,
              lossNormType: norm,
            });
            const nll = given.token_nll_weighted.flat();
            const loss = [...positions].reduce(
              (sum, position, i) =>
                sum + (nll[position]! / perRow[Math.floor(position / seq)]!) * weights[i]!,
              0,
            );
            expect(relative(loss, combination.loss), label).toBeLessThanOrEqual(1e-5);
          }
        }
      }
      printGolden(`timesteps, masks, row weights ${family}`, rows, worst);
    },
  );
});
