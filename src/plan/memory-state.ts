/**
 * @file Bytes per device of what a training keeps between batches: weights, gradients, optimizer
 * state, and the buffers they travel through; under each way of spreading them over devices.
 * Sources: spec of the reference's precision (ZHZisZZ/dllm@ca17675 dllm/utils/configs.py: weights
 * are loaded in bfloat16); torch.nn.parallel.DistributedDataParallel (gradients are copied into
 * buckets); arXiv:1910.02054 and DeepSpeed v0.18 runtime/zero/{stage_1_and_2,config}.py;
 * accelerate v1.11 accelerator.py (FSDP keeps float32 shards where it computes in bfloat16).
 */
import type { HardwareSettings } from "../recipe/schema.js";
import { runsReference, type EngineName } from "./engine.js";
import type { ParameterCounts } from "./model-size.js";

export interface StateBytes {
  weights: number;
  gradients: number;
  /** Moments, and master copies of the weights. */
  optimizer: number;
  /** Buffers that gradients and gathered weights pass through. */
  communication: number;
}

export interface StateInputs {
  engine: EngineName;
  strategy: HardwareSettings["strategy"];
  precision: HardwareSettings["precision"];
  /** Devices that compute. */
  devices: number;
  parameters: ParameterCounts;
  /** Micro-batches per step: from the second on, gradients are summed in a buffer of their own. */
  accumulation: number;
}

const FLOAT = 4;
/** Elements of DeepSpeed's `reduce_bucket_size`, which the reference leaves at its default. */
const REDUCE_BUCKET = 5e8;
/** Weights that ZeRO-3 lets live, gathered, at a time (`stage3_max_live_parameters`). */
const MOST_LIVE = 1e9;

/** Returns the bytes of a training's state on one device. */
export function stateBytes(inputs: StateInputs): StateBytes {
  const { engine, strategy, precision, devices, parameters, accumulation } = inputs;
  const count = parameters.total;
  if (!runsReference(engine)) {
    return {
      weights: FLOAT * count,
      // That of the embedding comes from the lookup and from the decoder, before they are added.
      gradients: FLOAT * (count * (accumulation > 1 ? 2 : 1) + 2 * parameters.embedding),
      optimizer: 2 * FLOAT * count,
      communication: 0,
    };
  }
  const size = bytesOf(precision);
  const bucket = devices > 1 ? size * REDUCE_BUCKET : 0;
  // DeepSpeed steps on float32 copies of the weights with float32 moments.
  const sharded = (3 * FLOAT * count) / devices;
  switch (strategy) {
    case "single":
    case "ddp":
      // The optimizer works on the weights as they are: no master copies.
      return {
        weights: size * count,
        gradients: size * count,
        optimizer: 2 * size * count,
        communication: devices > 1 ? size * count : 0,
      };
    case "zero1":
      return {
        weights: size * count,
        gradients: size * count,
        optimizer: sharded,
        communication: bucket,
      };
    case "zero2":
      return {
        weights: size * count,
        gradients: (size * count) / devices,
        optimizer: sharded,
        communication: bucket,
      };
    case "zero3":
      return {
        weights: (size * count) / devices,
        gradients: (size * count) / devices,
        optimizer: sharded,
        communication: bucket + (devices > 1 ? size * Math.min(count, MOST_LIVE) : 0),
      };
    case "fsdp":
      return {
        weights: (FLOAT * count) / devices,
        gradients: (FLOAT * count) / devices,
        optimizer: (2 * FLOAT * count) / devices,
        communication: size * gatheredByFsdp(parameters),
      };
  }
}

/** Layers are wrapped one by one, and the next is gathered ahead; all else is gathered at once. */
function gatheredByFsdp({ embedding, head, layer }: ParameterCounts): number {
  return embedding + head + 2 * layer;
}

/** Bytes of one number. */
export function bytesOf(precision: HardwareSettings["precision"]): number {
  return precision === "bfloat16" ? 2 : FLOAT;
}
