/** @file The greatest value over the last axis, and where it is; of predictions, so not differentiable. */
import type { OpDefinition, Tensor } from "../tensor.js";
import { applySingle } from "../tensor.js";
import { onnxDataType } from "../onnx/emitter.js";

const reduceMaxOp: OpDefinition<null> = {
  name: "ReduceMax",
  infer: ([x]) => [{ dtype: x!.dtype, shape: [...x!.shape.slice(0, -1), 1] }],
  onnx: (emitter, _node, [x], outputs) =>
    emitter.node("ReduceMax", [x!, emitter.constant("int64", [1], [-1])], outputs, {
      keepdims: { int: 1 },
    }),
};

/** Maximum over the last axis, kept with length 1. */
export function reduceMax(x: Tensor): Tensor {
  return applySingle(reduceMaxOp, [x], null);
}

const argMaxOp: OpDefinition<null> = {
  name: "ArgMax",
  infer: ([x]) => [{ dtype: "int32", shape: x!.shape.slice(0, -1) }],
  onnx: (emitter, _node, [x], outputs) => {
    const wide = emitter.fresh("argmax");
    emitter.node("ArgMax", [x!], [wide], { axis: { int: -1 }, keepdims: { int: 0 } });
    emitter.node("Cast", [wide], outputs, { to: { int: onnxDataType.int32 } });
  },
};

/** Index of the maximum over the last axis, int32; the lowest of equals. */
export function argMax(x: Tensor): Tensor {
  return applySingle(argMaxOp, [x], null);
}
