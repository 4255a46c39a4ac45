/**
 * @file What a training stage takes: parameters, steps, operations, memory and time; and whether
 * it fits the memory there is, with what to write where it does not.
 */
import type { DatasetSeparator, HardwareSettings } from "../recipe/schema.js";
import { counted, type BatchPlan } from "./batch.js";
import { estimateDuration, trainingFlops, type Duration, type Throughput } from "./compute.js";
import { runsReference } from "./engine.js";
import type { ResolvedTrainingHardware } from "./hardware.js";
import { knownTrainingRows, trainingSteps } from "./known-datasets.js";
import {
  estimateMemory,
  largestFittingEvaluation,
  largestFittingMicroBatch,
  type MemoryEstimate,
  type MemoryInputs,
  type MemoryTerm,
} from "./memory.js";
import { countParameters, type ModelShape } from "./model-size.js";
import type { PlanProblem } from "./problem.js";
import type { TrainStage } from "./reference/train-arguments.js";

export interface TrainingEstimate {
  parameters: number;
  /** Optimizer steps, where the number of rows is known or they are written. */
  steps?: number;
  /** At most: rows may be shorter than max_length. */
  tokensPerStep: number;
  /** Of all devices together, for rows of max_length. */
  flopsPerStep: number;
  /** Of one device. */
  memory: MemoryEstimate;
  /** What one device has, where that is known. */
  memoryLimitBytes?: number;
  seconds?: Duration;
}

export interface EstimateInputs {
  shape: ModelShape;
  stage: TrainStage;
  separators: readonly DatasetSeparator[];
  hardware: HardwareSettings;
  resolved: ResolvedTrainingHardware;
  /** Training rows, where they have been counted. */
  rows?: number;
  throughput?: Throughput;
  /** Memory of this machine, which the onnx engine computes in. */
  machineMemoryBytes?: number;
}

/** Returns what a training stage takes, and the problem where that is more than there is. */
export function estimateTraining(inputs: EstimateInputs): {
  estimate: TrainingEstimate;
  problem?: PlanProblem;
} {
  const { shape, stage, resolved, throughput } = inputs;
  const { settings } = stage;
  const sequence = settings.max_length;
  const { engine, devices, globalBatchSize } = resolved;
  const memoryInputs: MemoryInputs = {
    engine,
    strategy: inputs.hardware.strategy,
    precision: inputs.hardware.precision,
    devices,
    accumulation: resolved.accumulation,
    shape,
    microBatchRows: resolved.microBatchRows,
    sequence,
    evaluationRows: settings.eval_strategy === "no" ? 0 : settings.per_device_eval_batch_size,
  };
  const memory = estimateMemory(memoryInputs);
  const limit = memoryLimit(inputs);
  const steps = trainingSteps(settings, resolved, inputs.rows ?? countedRows(inputs));
  const tokensPerStep = globalBatchSize * sequence;
  const estimate: TrainingEstimate = {
    parameters: countParameters(shape).total,
    ...(steps !== undefined && { steps }),
    tokensPerStep,
    flopsPerStep: tokensPerStep * trainingFlops({ engine, shape, sequence }),
    memory,
    ...(limit !== undefined && { memoryLimitBytes: limit }),
    ...(steps !== undefined &&
      throughput !== undefined && {
        seconds: estimateDuration({
          engine,
          shape,
          sequence,
          steps,
          globalBatchSize,
          devices,
          packed: stage.kind === "pretrain",
          throughput,
        }),
      }),
  };
  if (limit === undefined || memory.peakBytes <= limit) return { estimate };
  return { estimate, problem: tooLarge(stage, memoryInputs, memory, limit, resolved) };
}

function countedRows({ stage, separators }: EstimateInputs): number | undefined {
  return stage.kind === "sft" ? knownTrainingRows(stage.settings, separators) : undefined;
}

/** The onnx engine computes in this machine's memory, however much a device is said to have. */
function memoryLimit({
  hardware,
  resolved,
  machineMemoryBytes,
}: EstimateInputs): number | undefined {
  const limits = [
    hardware.device_memory_gib === undefined ? undefined : hardware.device_memory_gib * GIB,
    !runsReference(resolved.engine) ? machineMemoryBytes : undefined,
  ].filter((limit) => limit !== undefined);
  return limits.length === 0 ? undefined : Math.min(...limits);
}

export const termNames: Readonly<Record<MemoryTerm, string>> = {
  weights: "weights",
  gradients: "gradients",
  optimizer: "optimizer state",
  communication: "communication buffers",
  activations: "activations",
  logits: "logits",
  process: "the process itself",
};

/** What each term grows with, for a reader who wants less of it. */
const growsWith: Readonly<Record<MemoryTerm, string>> = {
  weights: "the parameters",
  gradients: "the parameters",
  optimizer: "the parameters",
  communication: "the strategy's buffers",
  activations: "rows x tokens x layers",
  logits: "rows x tokens x vocabulary",
  process: "nothing",
};

function tooLarge(
  { path, settings }: TrainStage,
  inputs: MemoryInputs,
  memory: MemoryEstimate,
  limitBytes: number,
  resolved: ResolvedTrainingHardware,
): PlanProblem {
  const isTraining = memory.trainingPeakBytes > limitBytes;
  const each = inputs.devices === 1 ? "" : ` on each of ${inputs.devices} devices`;
  const key = isTraining ? "per_device_train_batch_size" : "per_device_eval_batch_size";
  const what = isTraining ? "training" : "evaluating during the training";
  const term = memory.dominant;
  const details = isTraining
    ? [
        `most of it: ${termNames[term]}, ${inGib(memory.bytes[term])} (${growsWith[term]})`,
        ...remedies(resolved, inputs, limitBytes),
      ]
    : ["most of it: the logits of all positions"];
  if (memory.evaluationPeakBytes > limitBytes) {
    details.push(evaluationRemedy(inputs, limitBytes, settings.per_device_eval_batch_size));
  }
  return {
    keyPath: `${path}.${key}`,
    message: `${what} takes about ${inGib(memory.peakBytes)}${each}, and there are ${inGib(limitBytes)}`,
    details,
  };
}

function remedies(
  resolved: ResolvedTrainingHardware,
  inputs: MemoryInputs,
  limitBytes: number,
): string[] {
  // A smaller micro-batch means more of them, whose gradients are summed.
  const accumulation = Math.max(2, inputs.accumulation);
  const fitting = largestFittingMicroBatch(
    { ...inputs, accumulation },
    { limitBytes, atMost: inputs.microBatchRows },
  );
  if (fitting === 0) {
    const spread = !runsReference(inputs.engine)
      ? "take a smaller model or a shorter max_length"
      : "take strategy: zero3 or fsdp, more devices, or a shorter max_length";
    return [`not even one row fits: ${spread}`];
  }
  const rowsPerDevice = resolved.microBatchRows * resolved.accumulation;
  let size = fitting;
  while (rowsPerDevice % size !== 0) size--;
  return [
    `at most ${counted(fitting, "row")} fit; write ${smallerBatch(size, rowsPerDevice, resolved)}: ` +
      `a step still has ${counted(resolved.globalBatchSize, "row")}`,
  ];
}

/** What to write on the devices of the recipe, not on those that stand in for them. */
function smallerBatch(
  rows: number,
  rowsPerDevice: number,
  { worldSize, devices, globalBatchSize }: BatchPlan & ResolvedTrainingHardware,
): string {
  const ofRecipe = devices === worldSize ? rowsPerDevice : globalBatchSize / worldSize;
  const accumulation = ofRecipe / rows;
  return Number.isInteger(accumulation)
    ? `per_device_train_batch_size: ${rows} and gradient_accumulation_steps: ${accumulation}`
    : `per_device_train_batch_size: ${rows} and global_batch_size: ${globalBatchSize}`;
}

function evaluationRemedy(inputs: MemoryInputs, limitBytes: number, written: number): string {
  const rows = largestFittingEvaluation(inputs, { limitBytes, atMost: written });
  return rows === 0
    ? 'write eval_strategy: "no", or take a shorter max_length'
    : `write per_device_eval_batch_size: ${rows}`;
}

const GIB = 2 ** 30;

/** `67.7 GiB`; small amounts with enough digits to tell them apart. */
export function inGib(bytes: number): string {
  const gib = bytes / GIB;
  return `${gib >= 0.95 ? gib.toFixed(1) : gib.toPrecision(2)} GiB`;
}
