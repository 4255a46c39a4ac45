/** @file Plans of unruly stages, and their runs. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { sha256 } from "../../src/base/fs.js";
import { canonicalJson, type JsonObject } from "../../src/base/json.js";
import type { Plan } from "../../src/plan/plan.js";
import type { PlannedStage, StageKind } from "../../src/plan/stage.js";
import type { SweepPlan } from "../../src/plan/trials.js";
import type { StampedEvent } from "../../src/report/events.js";
import type { ExecutionOptions } from "../../src/run/execution.js";
import { bundle } from "../support/bundle.js";
import type { UnrulyParams } from "./fixtures/unruly-stage.js";
import { startToy, type RunningToy, type Toy } from "./toy-runs.js";

export async function bundleUnruly(): Promise<Toy> {
  return {
    stageScript: await bundle("test/run/fixtures/unruly-stage.ts"),
    executorScript: await bundle("test/run/fixtures/toy-executor.ts"),
  };
}

export type UnrulyStage = UnrulyParams & {
  needs?: readonly string[];
  threads?: number;
  kind?: StageKind;
};

/** Returns a plan of stages by id; the id's word before a dot is its kind where there is such. */
export function unrulyPlan(stages: Readonly<Record<string, UnrulyStage>>, sweep?: SweepPlan): Plan {
  const planned = new Map<string, PlannedStage>();
  for (const [id, { needs = [], threads = 1, kind = "sft", ...params }] of Object.entries(stages)) {
    const own = { name: id, ...params } as unknown as JsonObject;
    const inputs = Object.fromEntries(needs.map((need, i) => [`input${i}`, need]));
    const identity = [own, needs.map((need) => planned.get(need)!.fingerprint)];
    planned.set(id, {
      ...{ id, kind, params: own, inputs, locations: {}, needs },
      hardware: { engine: "onnx", launcher: "local", device: "cpu", threads },
      fingerprint: sha256(canonicalJson(identity as never)),
      ...{ action: "run", reason: "not computed yet" },
    });
  }
  return {
    ...{ schema: 1, name: "toy", recipe: "toy.yaml", layers: { profiles: [], set: [] } },
    codeVersions: { prepare: 1, pretrain: 1, sft: 1, eval: 1, export: 1 },
    stages: [...planned.values()],
    ...(sweep && { sweep }),
  };
}

/** Starts a run with options of the executor. */
export function startUnruly(
  toy: Toy,
  runs: string,
  plan: Plan,
  options: ExecutionOptions & { graceMs?: number } = {},
  env: Record<string, string> = {},
): RunningToy {
  return startToy(toy, runs, plan, { TOY_OPTIONS: JSON.stringify(options), ...env });
}

/** Runs a plan to its end. */
export async function runUnruly(
  ...args: Parameters<typeof startUnruly>
): Promise<{ code: number | null; stderr: string; events: StampedEvent[] }> {
  const run = startUnruly(...args);
  const { code, stderr } = await run.exited;
  return { code, stderr, events: run.events };
}

/** Returns a file of a stage's directory as text. */
export function stageFile(runs: string, stage: string, file: string): string {
  return readFileSync(join(runs, "toy", "stages", stage, file), "utf8");
}

/** Returns the events of a kind. */
export function eventsOf<K extends StampedEvent["event"]>(
  events: readonly StampedEvent[],
  kind: K,
): Extract<StampedEvent, { event: K }>[] {
  return events.filter((event) => event.event === kind) as never;
}
