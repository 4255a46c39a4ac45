/** @file Cross entropy of a linear classifier against class indices, as one differentiable step. */
import type { OpDefinition, Tensor } from "../tensor.js";
import { applyOp } from "../tensor.js";
import { add, exp, mul, neg, sub } from "./elementwise.js";
import { gatherRows, scatterAddRows } from "./indexing.js";
import { gemm } from "./linear.js";
import { reshape } from "./shape.js";

/** A linear map to the logits of classes: x weight^T + bias. */
export interface Classifier {
  /** float32 [n, width] */
  x: Tensor;
  /** float32 [classes, width] */
  weight: Tensor;
  /** float32 [classes] */
  bias: Tensor;
}

/** The logits of a classifier, float32 [n, classes]. */
export function logitsOf({ x, weight, bias }: Classifier): Tensor {
  return add(gemm(x, weight, { transposeB: true }), bias);
}

/** Outputs: cross entropy [n], log-probabilities [n, classes] (kept for the gradient). */
const linearCrossEntropyOp: OpDefinition<null> = {
  name: "LinearCrossEntropy",
  infer: ([x, weight]) => [
    { dtype: "float32", shape: [x!.shape[0]!] },
    { dtype: "float32", shape: [x!.shape[0]!, weight!.shape[0]!] },
  ],
  // d logits = (softmax - onehot) * grad, row by row. Neither grad nor onehot is applied to an
  // array of [n, classes], where a pass costs more than all passes over [n, width].
  vjp: ({ inputs: [x, weight, , targets], outputs: [, logProbabilities], grads: [grad] }) => {
    const probabilities = exp(logProbabilities!);
    const column = reshape(grad!, [...grad!.shape, 1]);
    const row = reshape(grad!, [1, ...grad!.shape]);
    const classes = weight!.shape[0]!;
    const weighted = mul(x!, column);
    const dX = mul(sub(gemm(probabilities, weight!), gatherRows(weight!, targets!)), column);
    const dWeight = gemm(probabilities, weighted, { transposeA: true });
    const dBias = reshape(gemm(row, probabilities), [classes, 1]);
    return [
      dX,
      scatterAddRows(dWeight, targets!, neg(weighted)),
      reshape(scatterAddRows(dBias, targets!, neg(column)), [classes]),
      undefined,
    ];
  },
  onnx: (emitter, _node, [x, weight, bias, targets], [loss, logProbabilities]) => {
    const product = emitter.fresh("product");
    emitter.node("Gemm", [x!, weight!], [product], { transB: { int: 1 } });
    const logits = emitter.apply("Add", [product, bias!]);
    emitter.node("LogSoftmax", [logits], [logProbabilities!], { axis: { int: -1 } });
    const last = emitter.constant("int64", [1], [-1]);
    const column = emitter.apply("Unsqueeze", [targets!, last]);
    const picked = emitter.fresh("picked");
    emitter.node("GatherElements", [logProbabilities!, column], [picked], { axis: { int: 1 } });
    emitter.node("Neg", [emitter.apply("Squeeze", [picked, last])], [loss!]);
  },
};

/**
 * -log softmax(x weight^T + bias)[target], targets int32 [n] -> float32 [n].
 * The same as a cross entropy of the logits, without their gradient as an array.
 */
export function linearCrossEntropy({ x, weight, bias }: Classifier, targets: Tensor): Tensor {
  return applyOp(linearCrossEntropyOp, [x, weight, bias, targets], null)[0]!;
}
