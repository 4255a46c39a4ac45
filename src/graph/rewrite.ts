/** @file Rebuilds a graph with some of its nodes replaced. */
import type { Node, Tensor } from "./tensor.js";
import { applyOp, nodesOf } from "./tensor.js";

/** Returns the outputs that stand for a node's, given its inputs in the new graph; undefined to keep it. */
export type Replacement = (node: Node, inputs: readonly Tensor[]) => readonly Tensor[] | undefined;

/** Returns the outputs of the graph after replacement; untouched parts are shared with the old one. */
export function rewrite(
  outputs: Readonly<Record<string, Tensor>>,
  replace: Replacement,
): Record<string, Tensor> {
  const replaced = new Map<Tensor, Tensor>();
  const current = (tensor: Tensor): Tensor => replaced.get(tensor) ?? tensor;
  for (const node of nodesOf(Object.values(outputs))) {
    const inputs = node.inputs.map(current);
    const isChanged = inputs.some((input, i) => input !== node.inputs[i]);
    const results =
      replace(node, inputs) ??
      (isChanged ? applyOp(node.op, inputs, node.attributes as never) : node.outputs);
    node.outputs.forEach((output, i) => {
      if (results[i] !== output) replaced.set(output, results[i]!);
    });
  }
  return Object.fromEntries(
    Object.entries(outputs).map(([name, tensor]) => [name, current(tensor)]),
  );
}
