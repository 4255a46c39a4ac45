/** @file Toy runs for the fault matrix: interrupted by anything, and then run to their end. */
import { cpSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "vitest";
import { readJsonLines } from "../../src/base/json-lines.js";
import { randomStream, type RandomStream } from "../../src/base/random.js";
import type { Plan } from "../../src/plan/plan.js";
import { artifacts, bundleToy, runToy, toyPlan, type Toy } from "../run/toy-runs.js";
import { expectSound } from "../support/oracle.js";
import { inMemoryDirectory } from "../support/temporary-directory.js";

export const seed = Number(process.env.DLLM_TEST_SEED ?? 1);

/** How often a random fault is tried; a fraction of it where one round takes long. */
export const rounds = Number(process.env.DLLM_FAULT_ROUNDS ?? 200);

export function random(): RandomStream {
  return randomStream({ seed, purpose: "split" });
}

export interface Bench {
  toy: Toy;
  plan: Plan;
  /** Artifacts of a run without faults. */
  expected: string[];
}

/** Returns a plan with the result that every interrupted run of it must come to. */
export async function makeBench(
  plan: Plan = toyPlan({ steps: 12, saveEvery: 3 }, { steps: 6, saveEvery: 2 }),
): Promise<Bench> {
  const toy = await bundleToy();
  const expected = await inMemoryDirectory(async (runs) => {
    expect(await runToy(toy, runs, plan)).toMatchObject({ code: 0, stderr: "" });
    return artifacts(runs, plan);
  });
  return { toy, plan, expected };
}

/** Runs to the end; the result must be that of a run without faults, and fsck find nothing. */
export async function finish(
  { toy, plan, expected }: Bench,
  runs: string,
  env: Record<string, string> = {},
): Promise<void> {
  const { code, stderr } = await runToy(toy, runs, plan, env);
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  expect(artifacts(runs, plan)).toEqual(expected);
  await expectSound(runs);
  for (const { id, params } of plan.stages) {
    const path = join(runs, "toy", "stages", id, "metrics.jsonl");
    const { records } = readJsonLines<{ step: number }>(path);
    const steps = [...new Set(records.map(({ step }) => step))].sort((a, b) => a - b);
    const total = (params as { steps: number }).steps;
    expect(steps).toEqual(Array.from({ length: total }, (_, i) => i + 1));
  }
}

/** Runs with a fault and then to the end; returns whether the fault did anything. */
export async function breakAndFinish(
  bench: Bench,
  fault: string,
  acceptable: (code: number | null, stderr: string) => boolean,
): Promise<boolean> {
  return inMemoryDirectory(async (runs) => {
    const { code, signal, stderr } = await runToy(bench.toy, runs, bench.plan, {
      DLLM_FAULT: fault,
    });
    if (code !== 0 && signal !== "SIGKILL" && !acceptable(code, stderr)) {
      throw new Error(`DLLM_FAULT=${fault}: ended with ${code}: ${stderr}`);
    }
    await finish(bench, runs);
    return code !== 0;
  });
}

/** Calls `attempt` with n = 1, 2, … until it says that nothing happened any more; counts. */
export async function everyN(
  attempt: (n: number) => Promise<boolean>,
  step: (n: number) => number = (n) => n + 1,
): Promise<number> {
  let tried = 0;
  for (let n = 1; await attempt(n); n = step(n)) tried++;
  return tried;
}

/** A directory of runs in some state, made once and copied for each case. */
export async function makeTemplate(make: (runs: string) => Promise<void>): Promise<{
  use: (test: (runs: string) => Promise<void>) => Promise<void>;
  remove: () => void;
}> {
  const template = mkdtempSync(join(tmpdir(), "dllm-template-"));
  await make(template);
  return {
    use: (test) =>
      inMemoryDirectory(async (runs) => {
        for (const name of readdirSync(template)) {
          cpSync(join(template, name), join(runs, name), {
            recursive: true,
            verbatimSymlinks: true,
          });
        }
        await test(runs);
      }),
    remove: () => rmSync(template, { recursive: true, force: true }),
  };
}
