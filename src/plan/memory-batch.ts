/**
 * @file Bytes per device that a batch takes on its way through the model: what each layer keeps
 * for the backward pass, and the logits, which a vocabulary makes the largest tensor of all.
 * Sources of what is kept: huggingface/transformers@v4.57.6 models/{modernbert,bert}/
 * modeling_*.py with scaled_dot_product_attention; ZHZisZZ/dllm@ca17675
 * dllm/core/trainers/mdlm.py; of the onnx engine src/model and src/train/training-step.ts.
 */
import type { HardwareSettings } from "../recipe/schema.js";
import { runsReference, type EngineName } from "./engine.js";
import { bytesOf } from "./memory-state.js";
import type { ModelShape } from "./model-size.js";

export interface BatchMemoryInputs {
  engine: EngineName;
  strategy: HardwareSettings["strategy"];
  precision: HardwareSettings["precision"];
  shape: ModelShape;
  rows: number;
  /** Tokens of the longest row. */
  sequence: number;
}

const FLOAT = 4;

/**
 * Numbers that a layer keeps per token for its backward pass, in multiples of the hidden and the
 * intermediate width. `residual` are inputs of layer norms, which autocast keeps in float32.
 */
const keptPerToken = {
  // Outputs of both norms; q, k, v; attention's output, before and after its heads are joined.
  // In the feed-forward: both halves, the activation, the product.
  modernbert: { residual: 2, hidden: 7, intermediate: 4, maskBytes: 0 },
  // The layer's input; q, k, v; attention's output twice; the first norm's output. In the
  // feed-forward before and after the activation. A byte per dropped element.
  bert: { residual: 2, hidden: 7, intermediate: 2, maskBytes: 2 },
  roberta: { residual: 2, hidden: 7, intermediate: 2, maskBytes: 2 },
} as const;

/** Copies of the attention probabilities that the onnx engine keeps: scores and their softmax. */
const ATTENTION_COPIES = 2;

/** Returns the bytes that all layers keep for the backward pass. */
export function activationBytes(inputs: BatchMemoryInputs): number {
  const { shape, rows, sequence } = inputs;
  return rows * sequence * shape.layers * layerBytesPerToken(inputs);
}

/** Returns the bytes of one layer alone: what an evaluation needs at a time. */
export function layerBytes(inputs: BatchMemoryInputs): number {
  return inputs.rows * inputs.sequence * layerBytesPerToken(inputs);
}

function layerBytesPerToken(inputs: BatchMemoryInputs): number {
  const { engine, precision, shape, sequence } = inputs;
  const kept = keptPerToken[shape.family];
  const size = !runsReference(engine) ? FLOAT : bytesOf(precision);
  const residualSize = usesAutocast(inputs) ? FLOAT : size;
  // PyTorch's attention never writes the probabilities down.
  const attention = !runsReference(engine) ? ATTENTION_COPIES * FLOAT * shape.heads * sequence : 0;
  return (
    residualSize * kept.residual * shape.hidden +
    size * (kept.hidden * shape.hidden + kept.intermediate * shape.intermediate) +
    kept.maskBytes * shape.hidden +
    attention
  );
}

/** Logits, their log-softmax, and the gradient of either. */
const LOGIT_COPIES = 3;

/** Returns the bytes of the logits and what the loss makes of them, at their peak. */
export function logitBytes(inputs: BatchMemoryInputs): number {
  const { engine, precision, shape, rows, sequence } = inputs;
  const positions = rows * sequence * (!runsReference(engine) ? maskedShare(rows) : 1);
  // Autocast hands the logits out in float32; DeepSpeed leaves them as they are.
  const size = !runsReference(engine) || usesAutocast(inputs) ? FLOAT : bytesOf(precision);
  return LOGIT_COPIES * size * positions * shape.vocabulary;
}

/**
 * The onnx engine computes logits at masked positions only: with times drawn uniformly, half of
 * them, and in a batch of few rows up to two standard deviations more.
 */
function maskedShare(rows: number): number {
  return Math.min(1, 0.5 + 2 / Math.sqrt(12 * rows));
}

function usesAutocast({ engine, strategy, precision }: BatchMemoryInputs): boolean {
  const isDeepSpeed = strategy === "zero1" || strategy === "zero2" || strategy === "zero3";
  return runsReference(engine) && precision === "bfloat16" && !isDeepSpeed;
}
