/** @file Cross entropy of logits against class indices. */
import type { OpDefinition, Tensor } from "../tensor.js";
import { applyOp, applySingle } from "../tensor.js";
import { exp, mul, neg } from "./elementwise.js";
import { reshape } from "./shape.js";

/** Outputs: cross entropy [n], log-probabilities [n, classes] (kept for the gradient). */
const crossEntropyOp: OpDefinition<null> = {
  name: "CrossEntropy",
  infer: ([logits]) => [
    { dtype: "float32", shape: [logits!.shape[0]!] },
    { dtype: "float32", shape: logits!.shape },
  ],
  // d logits = (softmax - onehot) * grad, row by row
  vjp: ({ inputs: [, targets], outputs: [, logProbabilities], grads: [grad] }) => {
    const column = reshape(grad!, [...grad!.shape, 1]);
    return [subtractAtTarget(mul(exp(logProbabilities!), column), targets!, column), undefined];
  },
  onnx: (emitter, _node, [logits, targets], [loss, logProbabilities]) => {
    emitter.node("LogSoftmax", [logits!], [logProbabilities!], { axis: { int: -1 } });
    const column = emitter.fresh("column");
    emitter.node("Unsqueeze", [targets!, emitter.constant("int64", [1], [-1])], [column]);
    const picked = emitter.fresh("picked");
    emitter.node("GatherElements", [logProbabilities!, column], [picked], { axis: { int: 1 } });
    const flat = emitter.fresh("flat");
    emitter.node("Squeeze", [picked, emitter.constant("int64", [1], [-1])], [flat]);
    emitter.node("Neg", [flat], [loss!]);
  },
};

/** -log softmax(logits)[target]: logits float32 [n, classes], targets int32 [n] -> float32 [n]. */
export function crossEntropy(logits: Tensor, targets: Tensor): Tensor {
  return applyOp(crossEntropyOp, [logits, targets], null)[0]!;
}

const subtractAtTargetOp: OpDefinition<null> = {
  name: "SubtractAtTarget",
  infer: ([x]) => [{ dtype: x!.dtype, shape: x!.shape }],
  onnx: (emitter, _node, [x, targets, values], outputs) => {
    const column = emitter.fresh("column");
    emitter.node("Unsqueeze", [targets!, emitter.constant("int64", [1], [-1])], [column]);
    emitter.node("ScatterElements", [x!, column, values!], outputs, {
      axis: { int: 1 },
      reduction: { string: "add" },
    });
  },
};

/** x [n, classes] with values [n, 1] subtracted at column targets[i] of each row i. */
function subtractAtTarget(x: Tensor, targets: Tensor, values: Tensor): Tensor {
  return applySingle(subtractAtTargetOp, [x, targets, neg(values)], null);
}
