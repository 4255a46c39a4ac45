/**
 * @file Loss and gradients of one micro-batch: the forward graph, its gradient, and the buffers
 * they run in.
 */
import type { Value } from "../engine/onnx-session.js";
import { compileGraph, type EngineOptions, type GraphSession } from "../engine/session.js";
import { gradients } from "../graph/autodiff.js";
import { cutMap, cutProducts, cutValues } from "../graph/cut-products.js";
import { linearCrossEntropy } from "../graph/ops/cross-entropy.js";
import { mul } from "../graph/ops/elementwise.js";
import { reduceSum } from "../graph/ops/reduce.js";
import { reshape } from "../graph/ops/shape.js";
import { input } from "../graph/ops/source.js";
import type { Tensor } from "../graph/tensor.js";
import { collectDropout } from "../model/dropout.js";
import { BATCH, MASKED, SEQ } from "../model/family.js";
import { forwardInputs } from "../model/graph-inputs.js";
import type { LogitsInput } from "../model/masked-lm.js";
import { inputFeeds, parametersByName } from "../model/masked-lm.js";
import type { Architecture } from "../model/registry.js";
import { gradientOutputs, type GradientOutputs } from "./gradient-outputs.js";
import { createKeepMasks, type DropoutKey } from "./keep-masks.js";

/** One micro-batch after masking. */
export interface NoisedBatch extends LogitsInput {
  /** int32 [masked]: the ids that stood at `positions` */
  targets: Int32Array;
  /** float32 [masked]: the loss is sum(weights * cross entropy) */
  weights: Float32Array;
  /** Keep masks of `differentiate`, where the model has dropout; absent: nothing is dropped. */
  dropout?: DropoutKey;
}

/** Compiled loss and gradient of an architecture over buffers that the caller owns. */
export interface TrainingStep {
  /** Returns the cross entropy of each masked position, float32 [masked]; no gradient, no dropout. */
  evaluate(batch: NoisedBatch): Promise<Float32Array>;
  /** Overwrites the gradient buffer; returns the cross entropy of each masked position. */
  differentiate(batch: NoisedBatch): Promise<Float32Array>;
  dispose(): Promise<void>;
}

interface GraphOptions {
  withAttentionMask: boolean;
  withGradients: boolean;
  withDropout: boolean;
  windowBlocks: boolean;
}

function buildGraph(architecture: Architecture, options: GraphOptions) {
  const inputs = forwardInputs(architecture, options);
  const targets = input("targets", "int32", [MASKED]);
  const { dropout, sites } = collectDropout();
  const { decoder } = architecture.family.forward(architecture.config, {
    ...inputs,
    ...(options.withDropout && { dropout }),
    windowBlocks: options.windowBlocks,
  });
  const graph = cutProducts({ nll: linearCrossEntropy(decoder, targets) });
  const nll = graph.outputs["nll"]!;
  const parameters = cutMap(inputs.parameters, graph, ({ tensor }) => tensor);
  const gradient = options.withGradients
    ? gradientOutputs(gradientsOf(parameters, nll))
    : undefined;
  return { outputs: { nll, ...gradient?.outputs }, sites, gradient, graph };
}

/** Gradients of the loss by the name of their parameter. */
function gradientsOf(
  parameters: ReadonlyMap<string, Tensor>,
  nll: Tensor,
): ReadonlyMap<string, Tensor> {
  const weights = input("weights", "float32", [MASKED]);
  const loss = reshape(reduceSum(mul(nll, weights), [0]), []);
  const found = gradients(loss, [...parameters.values()]);
  return new Map([...parameters.keys()].map((name, i) => [name, found[i]!]));
}

/** A buffer float32 [masked] for a value of each masked position. */
function perPosition({ positions: { length } }: NoisedBatch) {
  return { data: new Float32Array(length), shape: [length] };
}

interface CompiledGraph {
  session: GraphSession;
  /** The parameters, as the graph has them. */
  feeds: Record<string, Value>;
  /** Where the gradient of each goes. */
  gradientBuffers: Record<string, Value>;
  keepMasks: ReturnType<typeof createKeepMasks>;
  /** Absent in a graph without gradients. */
  gradient: GradientOutputs | undefined;
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
  ...engineOptions
}: {
  architecture: Architecture;
  parameters: Float32Array;
  gradient: Float32Array;
} & EngineOptions): TrainingStep {
  const wholes = parametersByName(architecture, parameters);
  const gradientsByName = parametersByName(architecture, gradient);
  const graphs = new Map<string, Promise<CompiledGraph>>();
  const compile = async (options: GraphOptions): Promise<CompiledGraph> => {
    const { outputs, sites, gradient, graph } = buildGraph(architecture, options);
    const session = await compileGraph({ outputs }, engineOptions);
    return {
      session,
      feeds: Object.fromEntries(cutValues(wholes, graph)),
      gradientBuffers: Object.fromEntries(cutValues(gradientsByName, graph)),
      keepMasks: createKeepMasks(sites),
      gradient,
    };
  };
  const { family, config } = architecture;
  const { engine = "onnx", device = "cpu" } = engineOptions;
  const knowsBlocks = engine === "onnx" && device === "cpu";
  const windowBlocksFrom = (knowsBlocks && family.windowBlocksFrom?.(config)) || Infinity;
  const graphFor = (batch: NoisedBatch, withGradients: boolean): Promise<CompiledGraph> => {
    const options: GraphOptions = {
      withAttentionMask: batch.attentionMask !== undefined,
      withGradients,
      withDropout: withGradients && batch.dropout !== undefined,
      windowBlocks: batch.seq >= windowBlocksFrom,
    };
    const key = JSON.stringify(options);
    let graph = graphs.get(key);
    if (graph === undefined) {
      graph = compile(options);
      graphs.set(key, graph);
    }
    return graph;
  };
  const batchFeeds = (batch: NoisedBatch): Record<string, Value> => ({
    ...inputFeeds(batch),
    targets: { data: batch.targets, shape: [batch.targets.length] },
  });
  return {
    async evaluate(batch) {
      if (batch.positions.length === 0) return new Float32Array(0);
      const { session, feeds } = await graphFor(batch, false);
      const nll = perPosition(batch);
      await session.run({ ...feeds, ...batchFeeds(batch) }, { nll }, []);
      return nll.data;
    },
    async differentiate(batch) {
      if (batch.positions.length === 0) {
        gradient.fill(0); // nothing masked: the loss is the constant 0
        return new Float32Array(0);
      }
      const graph = await graphFor(batch, true);
      const { session, feeds, gradientBuffers, keepMasks, gradient: outputs } = graph;
      const feedsOfStep = {
        ...feeds,
        ...batchFeeds(batch),
        ...(batch.dropout && keepMasks({ ...batch, key: batch.dropout })),
        weights: { data: batch.weights, shape: [batch.weights.length] },
      };
      const dims = new Map([
        [BATCH, batch.batch],
        [SEQ, batch.seq],
        [MASKED, batch.positions.length],
      ]);
      const { fetches, finish } = outputs!.forRun(gradientBuffers, dims);
      const nll = perPosition(batch);
      await session.run(feedsOfStep, { ...fetches, nll }, []);
      finish();
      return nll.data;
    },
    async dispose() {
      for (const graph of graphs.values()) await (await graph).session.dispose();
      graphs.clear();
    },
  };
}
