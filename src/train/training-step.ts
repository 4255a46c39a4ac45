/**
 * @file Loss and gradients of one micro-batch: the forward graph, its gradient, and the buffers
 * they run in.
 */
import type { Value } from "../engine/onnx-session.js";
import { OnnxSession } from "../engine/onnx-session.js";
import { gradients } from "../graph/autodiff.js";
import { writeOnnx } from "../graph/onnx/writer.js";
import { crossEntropy } from "../graph/ops/cross-entropy.js";
import { mul } from "../graph/ops/elementwise.js";
import { reduceSum } from "../graph/ops/reduce.js";
import { reshape } from "../graph/ops/shape.js";
import { input } from "../graph/ops/source.js";
import { MASKED } from "../model/family.js";
import { forwardInputs } from "../model/graph-inputs.js";
import type { LogitsInput } from "../model/masked-lm.js";
import { inputFeeds, parameterFeeds } from "../model/masked-lm.js";
import type { Architecture } from "../model/registry.js";

/** One micro-batch after masking. */
export interface NoisedBatch extends LogitsInput {
  /** int32 [masked]: the ids that stood at `positions` */
  targets: Int32Array;
  /** float32 [masked]: the loss is sum(weights * cross entropy) */
  weights: Float32Array;
}

/** Compiled loss and gradient of an architecture over buffers that the caller owns. */
export interface TrainingStep {
  /** Returns the cross entropy of each masked position, float32 [masked]; no gradient. */
  evaluate(batch: NoisedBatch): Promise<Float32Array>;
  /** Overwrites the gradient buffer; returns the cross entropy of each masked position. */
  differentiate(batch: NoisedBatch): Promise<Float32Array>;
  dispose(): Promise<void>;
}

const gradientName = (parameter: string): string => `grad.${parameter}`;

function buildGraph(
  architecture: Architecture,
  options: { withAttentionMask: boolean; withGradients: boolean },
) {
  const inputs = forwardInputs(architecture, options);
  const targets = input("targets", "int32", [MASKED]);
  const { logits } = architecture.family.forward(architecture.config, inputs);
  const nll = crossEntropy(logits, targets);
  if (!options.withGradients) return { nll };
  const weights = input("weights", "float32", [MASKED]);
  const loss = reshape(reduceSum(mul(nll, weights), [0]), []);
  const names = [...inputs.parameters.keys()];
  const grads = gradients(loss, [...inputs.parameters.values()]);
  return {
    nll,
    ...Object.fromEntries(names.map((name, i) => [gradientName(name), grads[i]!])),
  };
}

/**
 * Compiles the training step of an architecture.
 * @param parameters float32 [size], read at every call
 * @param gradient float32 [size], overwritten by `differentiate`
 */
export function createTrainingStep({
  architecture,
  parameters,
  gradient,
  threads,
}: {
  architecture: Architecture;
  parameters: Float32Array;
  gradient: Float32Array;
  threads: number;
}): TrainingStep {
  const feeds = parameterFeeds(architecture, parameters);
  const fetches: Record<string, Value> = Object.fromEntries(
    Object.entries(parameterFeeds(architecture, gradient)).map(([name, value]) => [
      gradientName(name),
      value,
    ]),
  );
  const sessions = new Map<string, Promise<OnnxSession>>();
  const sessionFor = (withAttentionMask: boolean, withGradients: boolean): Promise<OnnxSession> => {
    const key = `${withAttentionMask} ${withGradients}`;
    let session = sessions.get(key);
    if (session === undefined) {
      const outputs = buildGraph(architecture, { withAttentionMask, withGradients });
      session = OnnxSession.create(writeOnnx({ outputs }), { threads });
      sessions.set(key, session);
    }
    return session;
  };
  const batchFeeds = (batch: NoisedBatch): Record<string, Value> => ({
    ...feeds,
    ...inputFeeds(batch),
    targets: { data: batch.targets, shape: [batch.targets.length] },
  });
  return {
    async evaluate(batch) {
      if (batch.positions.length === 0) return new Float32Array(0);
      const session = await sessionFor(batch.attentionMask !== undefined, false);
      return (await session.run(batchFeeds(batch), {}, ["nll"]))["nll"]!;
    },
    async differentiate(batch) {
      if (batch.positions.length === 0) {
        gradient.fill(0); // nothing masked: the loss is the constant 0
        return new Float32Array(0);
      }
      const session = await sessionFor(batch.attentionMask !== undefined, true);
      const weights = { data: batch.weights, shape: [batch.weights.length] };
      const results = await session.run({ ...batchFeeds(batch), weights }, fetches, ["nll"]);
      return results["nll"]!;
    },
    async dispose() {
      for (const session of sessions.values()) await (await session).dispose();
      sessions.clear();
    },
  };
}
