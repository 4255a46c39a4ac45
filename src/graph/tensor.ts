/**
 * @file The tensor IR: nodes apply an operation to tensors; a tensor is one output of a node.
 * Graphs are built by calling operations (ops/), never mutated, and are read backwards from
 * their outputs.
 */
import type { Shape } from "./dim.js";
import type { OnnxEmitter } from "./onnx/emitter.js";

export type DType = "float32" | "int8" | "int32" | "int64" | "bool";

export interface TensorType {
  shape: Shape;
  dtype: DType;
}

export interface Tensor extends TensorType {
  readonly node: Node;
  /** Which output of the node. */
  readonly index: number;
}

export interface Node {
  /** Increases with creation, so ascending ids are a topological order. */
  readonly id: number;
  readonly op: OpDefinition;
  readonly inputs: readonly Tensor[];
  readonly attributes: unknown;
  readonly outputs: readonly Tensor[];
}

export interface VjpContext<A> {
  inputs: readonly Tensor[];
  outputs: readonly Tensor[];
  attributes: A;
  /** Gradient of the loss with respect to each output; undefined where nothing depends on it. */
  grads: readonly (Tensor | undefined)[];
}

/** One operation: shape rule, vector-Jacobian product, ONNX form. */
export interface OpDefinition<A = never> {
  readonly name: string;
  /** @throws ShapeError when the inputs do not fit */
  infer(inputs: readonly Tensor[], attributes: A): readonly TensorType[];
  /** Gradient per input, undefined for an input that has none. Absent: not differentiable. */
  vjp?(context: VjpContext<A>): readonly (Tensor | undefined)[];
  /** Emits ONNX nodes that compute `outputs` (names) from `inputs` (names). */
  onnx(
    emitter: OnnxEmitter,
    node: Node,
    inputs: readonly string[],
    outputs: readonly string[],
    attributes: A,
  ): void;
}

let nextId = 0;

/** Applies an operation and returns all outputs of the new node. */
export function applyOp<A>(
  op: OpDefinition<A>,
  inputs: readonly Tensor[],
  attributes: A,
): readonly Tensor[] {
  const outputs: Tensor[] = [];
  const node: Node = { id: nextId++, op: op as OpDefinition, inputs, attributes, outputs };
  op.infer(inputs, attributes).forEach((type, index) => outputs.push({ ...type, node, index }));
  return outputs;
}

/** Applies an operation with a single output. */
export function applySingle<A>(
  op: OpDefinition<A>,
  inputs: readonly Tensor[],
  attributes: A,
): Tensor {
  return applyOp(op, inputs, attributes)[0]!;
}

/** Returns the nodes that the outputs depend on, in topological order. */
export function nodesOf(outputs: readonly Tensor[]): readonly Node[] {
  const seen = new Set<Node>();
  const pending = outputs.map((tensor) => tensor.node);
  for (let node = pending.pop(); node !== undefined; node = pending.pop()) {
    if (seen.has(node)) continue;
    seen.add(node);
    for (const input of node.inputs) pending.push(input.node);
  }
  return [...seen].sort((a, b) => a.id - b.id);
}

/** The shape as it is shown in messages: `float32 [batch, seq, 768]`. */
export function describe({ dtype, shape }: TensorType): string {
  return `${dtype} [${shape.join(", ")}]`;
}
