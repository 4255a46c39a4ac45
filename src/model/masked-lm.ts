/** @file A masked language model ready to predict: weights in memory, graphs compiled on demand. */
import { DllmError, ExitCode } from "../base/errors.js";
import { toInt8 } from "../engine/int8.js";
import type { Buffer1D, Value } from "../engine/onnx-session.js";
import { compileGraph, type EngineOptions } from "../engine/session.js";
import { rowsOf, type ParameterValues } from "../engine/stored-values.js";
import { cutMap, cutProducts } from "../graph/cut-products.js";
import { sizeOf } from "../graph/dim.js";
import { logitsOf } from "../graph/ops/cross-entropy.js";
import { exp, sub } from "../graph/ops/elementwise.js";
import { argMax, reduceMax } from "../graph/ops/extrema.js";
import { gatherRows } from "../graph/ops/indexing.js";
import { reduceSum } from "../graph/ops/reduce.js";
import { reshape } from "../graph/ops/shape.js";
import { input } from "../graph/ops/source.js";
import type { Tensor } from "../graph/tensor.js";
import { forwardInputs, inputNames } from "./graph-inputs.js";
import { readArchitecture } from "./model-directory.js";
import { withParameters } from "./parameter-files.js";
import { layOut, viewsOf } from "./parameters.js";
import type { Architecture } from "./registry.js";

export interface LogitsInput {
  /** int32 [batch, seq], row-major */
  inputIds: Int32Array;
  batch: number;
  seq: number;
  /** uint8 [batch, seq], 1 for visible keys; absent: all are visible */
  attentionMask?: Uint8Array;
  /** int32 [n]: flat indices (row * seq + column) */
  positions: Int32Array;
}

/** What a model predicts at some positions. */
export interface Predictions {
  /** int32 [n]: the most probable token, the lowest of equals. */
  ids: Int32Array;
  /** float32 [n]: its probability. */
  confidences: Float32Array;
}

/** Tokens whose probability is asked for: token `ids[i]` at position `positions[slots[i]]`. */
export interface TokenQueries {
  slots: ArrayLike<number>;
  ids: ArrayLike<number>;
}

/** The tensors that a call returns are owned by the caller. */
export interface MaskedLanguageModel {
  readonly vocabSize: number;
  /** Logits at the positions, float32 [n, vocab]. */
  logits(input: LogitsInput): Promise<Float32Array>;
  predict(input: LogitsInput): Promise<Predictions>;
  /** Log-probability of each queried token in nats, float64 [queries]. */
  logProbabilities(input: LogitsInput, queries: TokenQueries): Promise<Float64Array>;
  dispose(): Promise<void>;
}

/** Returns the parameters by name; the views share memory with `flat`. */
export function parametersByName(
  { family, config }: Architecture,
  flat: Float32Array,
): ReadonlyMap<string, { shape: readonly number[]; data: Float32Array }> {
  const specs = family.parameters(config);
  const views = viewsOf(layOut(specs), flat);
  return new Map(specs.map(({ name, shape }) => [name, { data: views.get(name)!, shape }]));
}

/** Returns the feeds of the ids and, where given, of the attention mask. */
export function inputFeeds({
  inputIds,
  batch,
  seq,
  attentionMask,
  positions,
}: LogitsInput): Record<string, Value> {
  return {
    [inputNames.inputIds]: { data: inputIds, shape: [batch, seq] },
    [inputNames.positions]: { data: positions, shape: [positions.length] },
    ...(attentionMask && {
      [inputNames.attentionMask]: { data: Int32Array.from(attentionMask), shape: [batch, seq] },
    }),
  };
}

export interface InferenceOptions extends EngineOptions {
  /** Default float32; int8 is faster and less exact. */
  precision?: InferencePrecision;
}

export type InferencePrecision = "float32" | "int8";

/**
 * Compiles a predictor over the parameters. They are copied, laid out for the matrix products once
 * (a third faster than weights that are fed), so the buffer may be dropped; later changes of it
 * are not seen.
 */
export function createMaskedLm(
  architecture: Architecture,
  flat: Float32Array,
  options: InferenceOptions,
): Promise<MaskedLanguageModel> {
  return compileMaskedLm(architecture, parametersByName(architecture, flat), options);
}

async function compileMaskedLm(
  architecture: Architecture,
  initializers: ReadonlyMap<string, ParameterValues>,
  { threads, device = "cpu", engine = "onnx", precision = "float32" }: InferenceOptions,
): Promise<MaskedLanguageModel> {
  const { vocabSize } = architecture.config;
  if (precision === "int8" && (device !== "cpu" || engine !== "onnx")) {
    throw new DllmError(`precision int8 with engine ${engine} on ${device}`, {
      exitCode: ExitCode.usage,
      details: ["only engine onnx on cpu has it"],
    });
  }
  const outputs = predictionGraph(architecture);
  const graph =
    precision === "int8" ? await toInt8({ outputs, initializers }) : cut(outputs, initializers);
  const session = await compileGraph(graph, { threads, device, engine });

  /** Runs the graph and returns some of its outputs in fresh buffers. */
  const run = async <T extends Record<string, Value>>(
    input: LogitsInput,
    outputs: T,
    scored: Int32Array = new Int32Array(0),
  ): Promise<T> => {
    // One graph serves all calls, as each would hold its own copy of the weights: hence a mask
    // also where everything is visible. It adds zeros to the scores.
    const attentionMask = input.attentionMask ?? new Uint8Array(input.batch * input.seq).fill(1);
    const feeds = { ...inputFeeds({ ...input, attentionMask }), scored: vector(scored) };
    if (input.positions.length > 0) await session.run(feeds, outputs, []);
    return outputs;
  };

  return {
    vocabSize,
    async logits(input) {
      const shape = [input.positions.length, vocabSize];
      const data = new Float32Array(shape[0]! * vocabSize);
      await run(input, { logits: { data, shape } });
      return data;
    },
    async predict(input) {
      const count = input.positions.length;
      const ids = new Int32Array(count);
      const mass = new Float32Array(count);
      await run(input, { best: vector(ids), mass: column(mass) });
      return { ids, confidences: mass.map((sum) => 1 / sum) };
    },
    async logProbabilities(input, { slots, ids }) {
      const count = input.positions.length;
      if (count * vocabSize > 2 ** 31) throw new RangeError(`${count} positions in one pass`);
      const [top, mass] = [new Float32Array(count), new Float32Array(count)];
      const found = new Float32Array(ids.length);
      const scored = Int32Array.from(ids, (id, i) => slots[i]! * vocabSize + id);
      const outputs = { top: column(top), mass: column(mass), found: vector(found) };
      await run(input, outputs, scored);
      return Float64Array.from(found, (logit, i) => {
        const slot = slots[i]!;
        return logit - (top[slot]! + Math.log(mass[slot]!));
      });
    },
    dispose: () => session.dispose(),
  };
}

/** Not for int8, where each product would quantise what is multiplied anew. */
function cut(outputs: Record<string, Tensor>, wholes: ReadonlyMap<string, ParameterValues>) {
  const graph = cutProducts(outputs);
  const initializers = cutMap(wholes, graph, ({ start, end }, whole) => rowsOf(whole, start, end));
  return { outputs: graph.outputs, initializers };
}

const vector = <T extends Buffer1D>(data: T) => ({ data, shape: [data.length] });
const column = <T extends Buffer1D>(data: T) => ({ data, shape: [data.length, 1] });

/**
 * The outputs of a prediction, computed where the logits are, which need not be copied out:
 * `logits` [masked, vocab], `best` the most probable id [masked], `top` its logit [masked, 1],
 * `mass` the sum of exp(logit - top) [masked, 1], and `found` the logits at the flat indices
 * `scored`, [scored].
 */
function predictionGraph(architecture: Architecture): Record<string, Tensor> {
  const { family, config } = architecture;
  const inputs = forwardInputs(architecture, { withAttentionMask: true });
  const logits = logitsOf(family.forward(config, inputs).decoder);
  const top = reduceMax(logits);
  const scored = input("scored", "int32", ["scored"]);
  return {
    logits,
    best: argMax(logits),
    top,
    mass: reduceSum(exp(sub(logits, top)), [1]),
    found: gatherRows(reshape(logits, [sizeOf(logits.shape)]), scored),
  };
}

/**
 * Loads a model directory: config.json and model.safetensors (or shards). Files of float32 weights
 * are mapped, not read: they may be replaced or removed, but not written into.
 * @throws DllmError 65 when they do not fit each other, 66 when they are absent
 */
export async function loadMaskedLm(
  directory: string,
  options: InferenceOptions,
): Promise<MaskedLanguageModel> {
  const architecture = readArchitecture(directory);
  const { family, config } = architecture;
  return withParameters(
    family.parameters(config),
    directory,
    (tensor) => family.parameterName(tensor),
    (parameters) => compileMaskedLm(architecture, parameters, options),
  );
}
