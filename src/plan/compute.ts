/**
 * @file Floating-point operations of a model, and how long a training takes with them. A
 * multiplication and its addition count as two; norms, activations and the optimizer, a percent
 * together, are left out. The backward pass is twice the forward pass.
 */
import { runsReference, type EngineName } from "./engine.js";
import type { ModelShape } from "./model-size.js";

/** Operations of a forward pass per token. */
export interface ForwardFlops {
  /** Linear maps of all layers. */
  linear: number;
  /** Scores and weighted sums of all layers, each over the whole sequence. */
  attention: number;
  /** Transform in front of the decoder, and the decoder: where logits are computed. */
  decoder: number;
  total: number;
}

export interface ComputeInputs {
  engine: EngineName;
  shape: ModelShape;
  /** Tokens of a row. */
  sequence: number;
}

/**
 * Returns the operations of a forward pass per token. Local layers compute all scores and hide
 * most of them, in PyTorch's attention with a mask as in the onnx engine.
 */
export function forwardFlops({ engine, shape, sequence }: ComputeInputs): ForwardFlops {
  const { hidden: h, intermediate: i, layers, vocabulary } = shape;
  const matrices = shape.family === "modernbert" ? 3 : 2; // GeGLU has a gate
  const linear = 2 * layers * (4 * h * h + matrices * h * i);
  const attention = 4 * layers * sequence * h;
  // The onnx engine gathers masked positions behind the transform: half of them on average.
  const share = !runsReference(engine) ? 0.5 : 1;
  const decoder = 2 * h * h + share * 2 * h * vocabulary;
  return { linear, attention, decoder, total: linear + attention + decoder };
}

/** Returns the operations of forward and backward pass per token. */
export function trainingFlops(inputs: ComputeInputs): number {
  return 3 * forwardFlops(inputs).total;
}

/** How fast devices are: as measured, or assumed from what they could do. */
export type Throughput =
  | { readonly kind: "measured"; readonly tokensPerSecond: number; readonly source: string }
  | {
      readonly kind: "assumed";
      /** Of one device at its best. */
      readonly peakFlopsPerSecond: number;
      /** Which share of it a training reaches. */
      readonly utilisation: { readonly low: number; readonly high: number };
      readonly source: string;
    };

/**
 * The reference's hardware. A quarter to 55 % of the peak is what trainings of encoders of this
 * size reach with PyTorch's own kernels: small matrices and short sequences do not fill the
 * device. Together with SHORTEST_ROWS it holds the 4 h and 7 h that the reference's README states.
 */
export function assumedA100(precision: "float32" | "bfloat16"): Throughput {
  const peak = precision === "bfloat16" ? 312 : 19.5;
  return {
    kind: "assumed",
    peakFlopsPerSecond: peak * 1e12,
    utilisation: { low: 0.25, high: 0.55 },
    source: `assumed: A100, 25-55 % of ${peak} TFLOP/s`,
  };
}

/**
 * A CPU whose matrix product was timed. Measured on two cores: a training runs at about its pace
 * where nothing else does, and at a third of it on a busy machine.
 */
export function timedCpu(gemmFlopsPerSecond: number): Throughput {
  return {
    kind: "assumed",
    peakFlopsPerSecond: gemmFlopsPerSecond,
    utilisation: { low: 0.3, high: 1 },
    source: `30-100 % of a matrix product's ${(gemmFlopsPerSecond / 1e9).toFixed(0)} GFLOP/s`,
  };
}

/** A band of durations and where it comes from. */
export interface Duration {
  low: number;
  high: number;
  basis: string;
}

/** A run like one that was measured takes as long, give or take what else the machine does. */
const MEASURED_BAND = { low: 0.85, high: 1.15 };

/**
 * Conversations are padded to the longest of their batch, which is seldom as long as it may be:
 * on average a third of max_length or more, where rows are grouped by length.
 */
const SHORTEST_ROWS = 1 / 3;

export interface DurationInputs extends ComputeInputs {
  /** Optimizer steps, and rows of each over all devices. */
  steps: number;
  globalBatchSize: number;
  devices: number;
  /** Whether all rows have `sequence` tokens, as chunks of text do. */
  packed: boolean;
  throughput: Throughput;
}

/** Returns how long a training takes, in seconds: from the best case to the worst. */
export function estimateDuration(inputs: DurationInputs): Duration {
  const { steps, globalBatchSize, devices, sequence, packed, throughput } = inputs;
  const seconds = (length: number, pace: "low" | "high"): number => {
    const tokens = steps * globalBatchSize * length;
    if (throughput.kind === "measured") {
      return (tokens / throughput.tokensPerSecond) * MEASURED_BAND[pace];
    }
    const share = throughput.utilisation[pace === "low" ? "high" : "low"];
    const flopsPerSecond = devices * throughput.peakFlopsPerSecond * share;
    return (tokens * trainingFlops({ ...inputs, sequence: length })) / flopsPerSecond;
  };
  const shortest = packed ? sequence : sequence * SHORTEST_ROWS;
  const rows = packed ? "" : "; rows a third to all of max_length long";
  return {
    low: seconds(shortest, "low"),
    high: seconds(sequence, "high"),
    basis: throughput.source + rows,
  };
}
