/** @file Starting toy runs, watching their events, and comparing what they leave. */
import { spawn, type ChildProcess } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { sha256 } from "../../src/base/fs.js";
import { canonicalJson, type JsonObject } from "../../src/base/json.js";
import type { Plan } from "../../src/plan/plan.js";
import type { PlannedStage } from "../../src/plan/stage.js";
import type { StampedEvent } from "../../src/report/events.js";
import { bundle } from "../support/bundle.js";
import type { ToyParams } from "./fixtures/toy-stage.js";

export interface Toy {
  stageScript: string;
  executorScript: string;
}

export async function bundleToy(): Promise<Toy> {
  return {
    stageScript: await bundle("test/run/fixtures/toy-stage.ts"),
    executorScript: await bundle("test/run/fixtures/toy-executor.ts"),
  };
}

/** Returns a chain of toy stages pretrain -> sft -> eval, or as many as there are params. */
export function toyPlan(...params: ToyParams[]): Plan {
  const kinds = ["pretrain", "sft", "eval"] as const;
  const stages: PlannedStage[] = [];
  for (const [i, each] of params.entries()) {
    const kind = kinds[i]!;
    const previous = stages.at(-1);
    const identity = [kind, each as unknown as JsonObject, previous?.fingerprint ?? null];
    stages.push({
      id: kind,
      kind,
      params: each as unknown as JsonObject,
      inputs: previous ? { model: previous.id } : {},
      hardware: { engine: "onnx", launcher: "local", device: "cpu", threads: 1 },
      locations: {},
      fingerprint: sha256(canonicalJson(identity)),
      action: "run",
      reason: "not computed yet",
      needs: previous ? [previous.id] : [],
    });
  }
  const codeVersions = { prepare: 1, pretrain: 1, sft: 1, eval: 1, export: 1 };
  return { schema: 1, name: "toy", recipe: "toy.yaml", codeVersions, stages };
}

export interface RunningToy {
  child: ChildProcess;
  events: StampedEvent[];
  /** Resolves with the first event (also a past one) that satisfies the condition. */
  event(matches: (event: StampedEvent) => boolean): Promise<StampedEvent>;
  /** Resolves when a stage is at the point where it misbehaves. */
  misbehaving(stage: string): Promise<StampedEvent>;
  exited: Promise<{ code: number | null; signal: NodeJS.Signals | null; stderr: string }>;
}

let planFiles = 0;

/**
 * Starts the executor of a plan as its own process.
 * @param wrapper a command that runs it: `strace …`
 */
export function startToy(
  { stageScript, executorScript }: Toy,
  runsRoot: string,
  plan: Plan,
  env: Record<string, string> = {},
  wrapper: readonly string[] = [],
): RunningToy {
  // Not below the runs: these may be full or read-only.
  const planFile = join(dirname(executorScript), `plan-${++planFiles}.json`);
  writeFileSync(planFile, JSON.stringify(plan));
  const command = [...wrapper, process.execPath, executorScript, runsRoot, planFile, stageScript];
  const child = spawn(command[0]!, command.slice(1), {
    env: { ...process.env, ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const events: StampedEvent[] = [];
  const watchers = new Set<() => void>();
  createInterface({ input: child.stdout }).on("line", (line) => {
    events.push(JSON.parse(line) as StampedEvent);
    for (const watcher of watchers) watcher();
  });
  let stderr = "";
  child.stderr.on("data", (data: Buffer) => (stderr += data.toString()));
  const exited = new Promise<{
    code: number | null;
    signal: NodeJS.Signals | null;
    stderr: string;
  }>((resolve) => child.once("close", (code, signal) => resolve({ code, signal, stderr })));
  const event = (matches: (event: StampedEvent) => boolean) =>
    new Promise<StampedEvent>((resolve, reject) => {
      const look = () => {
        const found = events.find(matches);
        if (!found) return;
        watchers.delete(look);
        resolve(found);
      };
      watchers.add(look);
      look();
      void exited.then(({ code, stderr: text }) => {
        look();
        reject(new Error(`the executor ended (${code}) without the event: ${text}`));
      });
    });
  const misbehaving = (stage: string) =>
    event((e) => e.event === "stage-progress" && e.stage === stage && e.unit === "misbehaving");
  return { child, events, event, misbehaving, exited };
}

/** Runs a plan to its end. */
export async function runToy(
  toy: Toy,
  runsRoot: string,
  plan: Plan,
  env: Record<string, string> = {},
  wrapper: readonly string[] = [],
): Promise<{
  code: number | null;
  signal: NodeJS.Signals | null;
  stderr: string;
  events: StampedEvent[];
}> {
  const run = startToy(toy, runsRoot, plan, env, wrapper);
  return { ...(await run.exited), events: run.events };
}

/** Returns the final states of the plan's stages: equal only if every step happened once. */
export function finalStates(runsRoot: string, plan: Plan): string[] {
  return plan.stages.map(({ id }) =>
    readFileSync(join(runsRoot, "toy", "stages", id, "output", "state.txt"), "utf8"),
  );
}

/** Returns the artifact hashes of the plan's stages. */
export function artifacts(runsRoot: string, plan: Plan): string[] {
  return plan.stages.map(({ id }) => {
    const path = join(runsRoot, "toy", "stages", id, "result.json");
    return (JSON.parse(readFileSync(path, "utf8")) as { artifact: string }).artifact;
  });
}

/** Whether a process runs; zombies do not. */
export function isRunning(pid: number): boolean {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    return !"ZX".includes(stat.slice(stat.lastIndexOf(")") + 2)[0]!);
  } catch {
    return false;
  }
}
