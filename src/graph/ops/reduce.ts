/** @file Reductions over axes; reduced axes stay with length 1. */
import type { OpDefinition, Tensor } from "../tensor.js";
import { applySingle } from "../tensor.js";
import { mul } from "./elementwise.js";
import { filled, scalar } from "./source.js";

function reduction(
  onnxType: string,
  vjp: (x: Tensor, grad: Tensor, axes: readonly number[]) => Tensor,
) {
  const op: OpDefinition<readonly number[]> = {
    name: onnxType,
    infer: ([x], axes) => [
      { dtype: x!.dtype, shape: x!.shape.map((dim, axis) => (axes.includes(axis) ? 1 : dim)) },
    ],
    vjp: ({ inputs: [x], grads: [grad], attributes }) => [vjp(x!, grad!, attributes)],
    onnx: (emitter, _node, [x], outputs, axes) =>
      emitter.node(onnxType, [x!, emitter.constant("int64", [axes.length], axes)], outputs, {
        keepdims: { int: 1 },
      }),
  };
  return (x: Tensor, axes: readonly number[]): Tensor => applySingle(op, [x], axes);
}

/** Sum over the axes, kept with length 1. */
export const reduceSum = reduction("ReduceSum", (x, grad) => mul(filled(x.shape, 1), grad));

/** Mean over axes of known length, kept with length 1. */
export const reduceMean = reduction("ReduceMean", (x, grad, axes) => {
  const count = axes.reduce((product, axis) => {
    const dim = x.shape[axis]!;
    if (typeof dim !== "number") throw new TypeError(`reduceMean: axis ${axis} is symbolic`);
    return product * dim;
  }, 1);
  return mul(filled(x.shape, 1), mul(grad, scalar(1 / count)));
});

const cumulativeSumOp: OpDefinition<number> = {
  name: "CumSum",
  infer: ([x]) => [{ dtype: x!.dtype, shape: x!.shape }],
  onnx: (emitter, _node, [x], outputs, axis) =>
    emitter.node("CumSum", [x!, emitter.constant("int64", [], [axis])], outputs),
};

/** Running sum along an axis, the element itself included; used on ids, which need no gradient. */
export function cumulativeSum(x: Tensor, axis: number): Tensor {
  return applySingle(cumulativeSumOp, [x], axis);
}
