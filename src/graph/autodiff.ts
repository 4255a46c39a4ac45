/** @file Reverse-mode differentiation: extends a graph by the gradient of a scalar. */
import { ShapeError } from "../base/errors.js";
import { add } from "./ops/elementwise.js";
import { scatterAddRows, scatterAddRowsOp } from "./ops/indexing.js";
import { filled, isZeros } from "./ops/source.js";
import type { OpDefinition, Tensor } from "./tensor.js";
import { describe, nodesOf } from "./tensor.js";

/** Whether a tensor is a scatter-add into zeros. */
function isScatterIntoZeros({ node }: Tensor): boolean {
  return node.op === (scatterAddRowsOp as OpDefinition) && isZeros(node.inputs[0]!);
}

/**
 * Sums two gradients of one tensor. A scatter-add into zeros becomes a scatter-add into the
 * other gradient, which saves a table-sized buffer and a pass (tied embeddings).
 */
function accumulate(a: Tensor, b: Tensor): Tensor {
  const scatter = isScatterIntoZeros(b) ? b : isScatterIntoZeros(a) ? a : undefined;
  if (scatter === undefined) return add(a, b);
  const [, indices, updates] = scatter.node.inputs;
  return scatterAddRows(scatter === b ? a : b, indices!, updates!);
}

/**
 * Returns the gradient of a scalar with respect to each of `wrt`, float32, same shapes.
 * @throws ShapeError when `loss` is no scalar, TypeError when a node on the way has no gradient
 */
export function gradients(loss: Tensor, wrt: readonly Tensor[]): readonly Tensor[] {
  if (loss.shape.length !== 0) throw new ShapeError(`gradients: loss is ${describe(loss)}`);
  const grads = new Map<Tensor, Tensor>([[loss, filled([], 1)]]);
  const nodes = nodesOf([loss]);
  const wanted = new Set(wrt);
  // Only what lies between the wanted tensors and the loss needs a gradient.
  const relevant = new Set<Tensor>(wanted);
  for (const node of nodes) {
    if (node.inputs.some((input) => relevant.has(input))) {
      node.outputs.forEach((output) => relevant.add(output));
    }
  }
  for (const node of [...nodes].reverse()) {
    const outputGrads = node.outputs.map((output) => grads.get(output));
    if (outputGrads.every((grad) => grad === undefined)) continue;
    if (!node.inputs.some((input) => relevant.has(input))) continue;
    if (!node.op.vjp) throw new TypeError(`gradients: ${node.op.name} is not differentiable`);
    const inputGrads = node.op.vjp({
      inputs: node.inputs,
      outputs: node.outputs,
      attributes: node.attributes as never,
      grads: outputGrads,
    });
    node.inputs.forEach((input, i) => {
      const grad = inputGrads[i];
      if (grad === undefined || !relevant.has(input)) return;
      const sum = grads.get(input);
      grads.set(input, sum === undefined ? grad : accumulate(sum, grad));
    });
  }
  return wrt.map((tensor) => grads.get(tensor) ?? filled(tensor.shape, 0));
}
