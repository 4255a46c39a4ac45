/**
 * @file Resolves the `hardware` section: which engine computes, on how many devices, how stage
 * processes start, and how a training's batches are shared out. Hardware never changes what is
 * computed: where it asks for other devices than there are, the accumulation makes up for it.
 */
import type { HardwareSettings } from "../recipe/schema.js";
import { counted, shareBatch, type BatchPlan, type WrittenBatch } from "./batch.js";
import { runsReference, type EngineName } from "./engine.js";
import { failure, success, type Outcome, type PlanProblem } from "./problem.js";

export type LauncherName = "local" | "slurm";

export interface ResolvedHardware {
  engine: EngineName;
  /** Why this engine, in a few words. */
  engineReason: string;
  launcher: LauncherName;
  launcherReason: string;
  /** Devices that the recipe is written for: nodes x gpus_per_node. */
  worldSize: number;
  /** Devices that compute. */
  devices: number;
  /** What is done otherwise than a reader of the recipe would expect, one sentence each. */
  words: readonly string[];
}

export type ResolvedTrainingHardware = ResolvedHardware & BatchPlan;

/** A training stage, as far as hardware concerns it. */
export interface TrainingBatch extends WrittenBatch {
  /** Key path of the stage in the recipe: `sft`, `stages.sft-wiki`. */
  readonly stagePath: string;
}

/** Returns how a stage runs; with `train`, also how its batches are shared out. */
export function resolveHardware(inputs: {
  hardware: HardwareSettings;
  train: TrainingBatch;
}): Outcome<ResolvedTrainingHardware>;
export function resolveHardware(inputs: { hardware: HardwareSettings }): Outcome<ResolvedHardware>;
export function resolveHardware({
  hardware,
  train,
}: {
  hardware: HardwareSettings;
  train?: TrainingBatch;
}): Outcome<ResolvedHardware | ResolvedTrainingHardware> {
  const problems = contradictions(hardware);
  if (problems.length > 0) return failure(...problems);
  const worldSize = hardware.strategy === "single" ? 1 : hardware.nodes * hardware.gpus_per_node;
  const engine = chooseEngine(hardware, worldSize);
  const launcher = chooseLauncher(hardware, engine.engine);
  const problem = unreachableNodes(hardware, engine.engine, launcher.launcher);
  if (problem !== undefined) return failure(problem);
  const devices = runsReference(engine.engine) ? worldSize : 1;
  const resolved = { ...engine, ...launcher, worldSize, devices };
  const words = settingWords(hardware, resolved);
  if (train === undefined) return success({ ...resolved, words });
  const { stagePath, ...written } = train;
  const shared = shareBatch({ stagePath, written, worldSize, devices });
  if (!shared.ok) return shared;
  return success({
    ...resolved,
    ...shared.value.batch,
    words: [...shared.value.words, ...words],
  });
}

/** What cannot be: a device that an engine has not, several devices as a single one. */
function contradictions({
  strategy,
  nodes,
  gpus_per_node,
  engine,
  device,
}: HardwareSettings): PlanProblem[] {
  if (engine === "tfjs" && device === "webgpu") {
    return [
      {
        keyPath: "hardware.device",
        message: 'device is "webgpu", which TensorFlow.js has in browsers only',
        details: ["write engine: onnx, or device: cuda or cpu"],
      },
    ];
  }
  if (strategy !== "single") return [];
  const problem = (key: string, value: number): PlanProblem => ({
    keyPath: `hardware.${key}`,
    message: `${key} is ${value}, but strategy is "single": one device`,
    details: [`write strategy: ddp (or zero1, zero2, zero3, fsdp), or leave ${key} out`],
  });
  return [
    ...(nodes > 1 ? [problem("nodes", nodes)] : []),
    ...(gpus_per_node > 1 ? [problem("gpus_per_node", gpus_per_node)] : []),
  ];
}

function chooseEngine(
  { engine }: HardwareSettings,
  worldSize: number,
): { engine: EngineName; engineReason: string } {
  if (engine !== "auto") return { engine, engineReason: `hardware.engine is "${engine}"` };
  return worldSize === 1
    ? { engine: "onnx", engineReason: "one device" }
    : { engine: "accelerate", engineReason: counted(worldSize, "device") };
}

function chooseLauncher(
  { launcher, nodes, slurm }: HardwareSettings,
  engine: EngineName,
): { launcher: LauncherName; launcherReason: string } {
  if (launcher !== "auto") {
    return { launcher, launcherReason: `hardware.launcher is "${launcher}"` };
  }
  if (!runsReference(engine)) {
    return { launcher: "local", launcherReason: `the ${engine} engine computes on this machine` };
  }
  if (nodes > 1) return { launcher: "slurm", launcherReason: counted(nodes, "node") };
  return slurm === undefined
    ? { launcher: "local", launcherReason: "one node" }
    : { launcher: "slurm", launcherReason: "hardware.slurm is written" };
}

function unreachableNodes(
  { nodes, strategy }: HardwareSettings,
  engine: EngineName,
  launcher: LauncherName,
): PlanProblem | undefined {
  if (!runsReference(engine) || launcher === "slurm" || nodes === 1 || strategy === "single") {
    return undefined;
  }
  return {
    keyPath: "hardware.launcher",
    message: `launcher is "local", which cannot start processes on ${counted(nodes, "node")}`,
    details: ['write "launcher: slurm", or "nodes: 1"'],
  };
}

/** Settings that the chosen engine or launcher has no use for. */
function settingWords(
  hardware: HardwareSettings,
  { engine, launcher }: { engine: EngineName; launcher: LauncherName },
): string[] {
  const words: string[] = [];
  if (!runsReference(engine) && hardware.precision === "bfloat16") {
    words.push(`precision bfloat16: the ${engine} engine computes in float32`);
  }
  if (runsReference(engine) && hardware.threads > 0) {
    words.push(`threads ${hardware.threads}: concerns the engines onnx and tfjs only`);
  }
  if (runsReference(engine) && hardware.device !== "cpu") {
    words.push(`device ${hardware.device}: concerns the engines onnx and tfjs only`);
  }
  if (launcher === "local" && hardware.slurm !== undefined) {
    words.push("hardware.slurm is not used: stages start on this machine");
  }
  return words;
}
