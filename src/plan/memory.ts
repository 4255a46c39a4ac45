/**
 * @file How much memory a training takes on each device, what takes most of it, and how large a
 * micro-batch fits. An estimate: allocators lose a few percent, and rows are seldom all as long
 * as they may be.
 */
import { activationBytes, layerBytes, logitBytes, type BatchMemoryInputs } from "./memory-batch.js";
import { stateBytes, type StateInputs } from "./memory-state.js";
import { countParameters, type ModelShape } from "./model-size.js";

export interface MemoryInputs extends Omit<StateInputs, "parameters"> {
  shape: ModelShape;
  microBatchRows: number;
  /** Tokens of the longest row. */
  sequence: number;
  /** Rows of a batch in evaluations during the training; 0 where there are none. */
  evaluationRows: number;
}

export type MemoryTerm =
  "weights" | "gradients" | "optimizer" | "communication" | "activations" | "logits" | "process";

export interface MemoryEstimate {
  /** Of one device at the peak of a training step. */
  bytes: Readonly<Record<MemoryTerm, number>>;
  /** Of a training step, and of an evaluation during the training. */
  trainingPeakBytes: number;
  evaluationPeakBytes: number;
  /** The larger of the two. */
  peakBytes: number;
  dominant: MemoryTerm;
}

/**
 * What is there before a model is. Of the onnx engine, measured: Node.js, ONNX Runtime and the
 * compiled graphs. Of PyTorch, assumed: the CUDA context with its libraries.
 */
const processBytes = { onnx: 190 * 2 ** 20, tfjs: 190 * 2 ** 20, accelerate: 2 ** 30 } as const;

/** Returns what a training takes on one device. */
export function estimateMemory(inputs: MemoryInputs): MemoryEstimate {
  const { shape, microBatchRows, evaluationRows } = inputs;
  const state = stateBytes({ ...inputs, parameters: countParameters(shape) });
  const training: BatchMemoryInputs = { ...inputs, rows: microBatchRows };
  const evaluation: BatchMemoryInputs = { ...inputs, rows: evaluationRows };
  const bytes: Record<MemoryTerm, number> = {
    ...state,
    activations: activationBytes(training),
    logits: logitBytes(training),
    process: processBytes[inputs.engine],
  };
  const total = (values: object) =>
    Math.ceil((Object.values(values) as number[]).reduce((sum, value) => sum + value, 0));
  const trainingPeakBytes = total(bytes);
  const evaluationPeakBytes =
    evaluationRows === 0
      ? 0
      : total({
          ...state,
          process: bytes.process,
          layer: layerBytes(evaluation),
          logits: logitBytes(evaluation),
        });
  const [dominant] = (Object.entries(bytes) as [MemoryTerm, number][]).reduce((most, entry) =>
    entry[1] > most[1] ? entry : most,
  );
  return {
    bytes,
    trainingPeakBytes,
    evaluationPeakBytes,
    peakBytes: Math.max(trainingPeakBytes, evaluationPeakBytes),
    dominant,
  };
}

/** Returns the most rows of a micro-batch, up to `atMost`, whose training fits; 0 for none. */
export function largestFittingMicroBatch(
  inputs: MemoryInputs,
  { limitBytes, atMost }: { limitBytes: number; atMost: number },
): number {
  const fits = (microBatchRows: number) =>
    estimateMemory({ ...inputs, microBatchRows }).trainingPeakBytes <= limitBytes;
  let fitting = 0;
  let beyond = atMost + 1;
  while (beyond - fitting > 1) {
    const middle = Math.floor((fitting + beyond) / 2);
    if (fits(middle)) fitting = middle;
    else beyond = middle;
  }
  return fitting;
}

/** Returns the most rows of an evaluation batch, up to `atMost`, that fit; 0 for none. */
export function largestFittingEvaluation(
  inputs: MemoryInputs,
  { limitBytes, atMost }: { limitBytes: number; atMost: number },
): number {
  let rows = atMost;
  while (
    rows > 0 &&
    estimateMemory({ ...inputs, evaluationRows: rows }).evaluationPeakBytes > limitBytes
  ) {
    rows = Math.floor(rows / 2);
  }
  return rows;
}
