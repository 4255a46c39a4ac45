/** @file Serialises a graph as an ONNX model (opset 20, IR 9). */
import type { Shape } from "../dim.js";
import type { InputAttributes } from "../ops/source.js";
import { inputOp } from "../ops/source.js";
import type { DType, Node, OpDefinition, Tensor } from "../tensor.js";
import { nodesOf } from "../tensor.js";
import { OnnxEmitter, onnxDataType, tensorMessage, type OnnxDialect } from "./emitter.js";
import { Message } from "./protobuf.js";

const OPSET = 20;
const IR_VERSION = 9;

/** Values of a parameter that a model holds instead of being fed them. */
export interface Initializer {
  shape: readonly number[];
  data: Float32Array | Int8Array;
}

/** The same in another file: float32, raw and little-endian, from a byte on. */
export interface StoredInitializer {
  shape: readonly number[];
  path: string;
  offset: number;
}

export interface OnnxGraph {
  /** Output name to tensor, in order. */
  outputs: Readonly<Record<string, Tensor>>;
  /** Inputs to store as initializers, by name. */
  initializers?: ReadonlyMap<string, Initializer | StoredInitializer>;
  /** Leave the bytes of initializers in memory out: each is external data at a location of its name. */
  external?: boolean;
  /** Default standard. */
  dialect?: OnnxDialect;
  /** Text fields of the file. */
  metadata?: Readonly<Record<string, string>>;
  /** Name of a further output, the first one, which is no tensor but an empty sequence of them. */
  emptySequence?: string;
}

function valueInfo(name: string, dtype: DType, shape: Shape): Message {
  const shapeMessage = new Message();
  for (const dim of shape) {
    const dimension = new Message();
    if (typeof dim === "number") dimension.int(1, dim);
    else dimension.bytes(2, dim);
    shapeMessage.message(1, dimension);
  }
  const tensorType = new Message().int(1, onnxDataType[dtype]).message(2, shapeMessage);
  return new Message().bytes(1, name).message(2, new Message().message(1, tensorType));
}

function initializerMessage(
  name: string,
  values: Initializer | StoredInitializer,
  external = false,
): Message {
  const { shape } = values;
  if ("path" in values) {
    const length = 4 * shape.reduce((product, dim) => product * dim, 1);
    const place = { location: values.path, offset: values.offset, length };
    return tensorMessage(name, "float32", shape, place);
  }
  const { data } = values;
  const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  const dtype = data instanceof Int8Array ? "int8" : "float32";
  return tensorMessage(name, dtype, shape, external ? { location: name } : bytes);
}

/** A sequence of float32 tensors of any shape. */
function sequenceInfo(name: string): Message {
  const tensorType = new Message().message(1, new Message().int(1, onnxDataType.float32));
  const sequenceType = new Message().message(1, tensorType);
  return new Message().bytes(1, name).message(2, new Message().message(4, sequenceType));
}

const isInput = (node: Node): boolean => node.op === (inputOp as OpDefinition);
const inputAttributes = (node: Node): InputAttributes => node.attributes as InputAttributes;

/** Returns the bytes of an ONNX model that computes the outputs from the graph's inputs. */
export function writeOnnx(graph: OnnxGraph): Buffer {
  return onnxModel(graph).encode();
}

/** The same as pieces to write one after the other: initializers are views, not copies. */
export function onnxChunks(graph: OnnxGraph): readonly Uint8Array[] {
  return onnxModel(graph).chunks;
}

function onnxModel({
  outputs,
  initializers,
  external,
  dialect = "standard",
  metadata = {},
  emptySequence,
}: OnnxGraph): Message {
  const nodes = nodesOf(Object.values(outputs));
  const inputs = nodes.filter(isInput).map(inputAttributes);
  const fed = inputs.filter(({ name }) => !initializers?.has(name));

  const symbolSources = new Map<string, { input: string; axis: number }>();
  for (const { name, shape } of fed) {
    shape.forEach((dim, axis) => {
      if (typeof dim === "string" && !dim.includes("*") && !symbolSources.has(dim)) {
        symbolSources.set(dim, { input: name, axis });
      }
    });
  }

  const emitter = new OnnxEmitter(symbolSources, dialect);
  const names = new Map<Tensor, string>();
  for (const [name, tensor] of Object.entries(outputs)) {
    if (!names.has(tensor) && !isInput(tensor.node)) names.set(tensor, name);
  }
  // By place in this graph, not by node.id, which depends on the graphs built before it.
  for (const [place, node] of nodes.entries()) {
    node.outputs.forEach((output) => {
      if (names.has(output)) return;
      const name = isInput(node) ? inputAttributes(node).name : `t${place}_${output.index}`;
      names.set(output, name);
    });
    node.op.onnx(
      emitter,
      node,
      node.inputs.map((tensor) => names.get(tensor)!),
      node.outputs.map((tensor) => names.get(tensor)!),
      node.attributes as never,
    );
  }

  const graph = new Message();
  if (emptySequence !== undefined) {
    emitter.node("SequenceEmpty", [], [emptySequence]);
    graph.message(12, sequenceInfo(emptySequence));
  }
  for (const node of emitter.nodes) graph.message(1, node);
  for (const [name, tensor] of Object.entries(outputs)) {
    // An output that is an input, or the same tensor under a second name, needs a node of its own.
    if (names.get(tensor) !== name) {
      graph.message(
        1,
        new Message().bytes(1, names.get(tensor)!).bytes(2, name).bytes(4, "Identity"),
      );
    }
  }
  graph.bytes(2, "dllm");
  for (const initializer of emitter.initializers) graph.message(5, initializer);
  for (const [name, values] of initializers ?? []) {
    graph.message(5, initializerMessage(name, values, external));
  }
  for (const { name, dtype, shape } of fed) graph.message(11, valueInfo(name, dtype, shape));
  for (const [name, tensor] of Object.entries(outputs)) {
    graph.message(12, valueInfo(name, tensor.dtype, tensor.shape));
  }

  const model = new Message().int(1, IR_VERSION).bytes(2, "dllm").message(7, graph);
  model.message(8, new Message().bytes(1, "").int(2, OPSET));
  for (const domain of emitter.domains) {
    model.message(8, new Message().bytes(1, domain).int(2, 1));
  }
  for (const [key, value] of Object.entries(metadata)) {
    model.message(14, new Message().bytes(1, key).bytes(2, value));
  }
  return model;
}
