/** @file Operations that move values without changing them. */
import { ShapeError } from "../../base/errors.js";
import type { Dim, Shape } from "../dim.js";
import { sameShape, sizeOf } from "../dim.js";
import type { OpDefinition, Tensor } from "../tensor.js";
import { applyOp, applySingle, describe } from "../tensor.js";
import { filled } from "./source.js";

const reshapeOp: OpDefinition<Shape> = {
  name: "Reshape",
  infer: ([x], shape) => {
    if (sizeOf(x!.shape) !== sizeOf(shape)) {
      throw new ShapeError(`cannot reshape ${describe(x!)} to [${shape.join(", ")}]`);
    }
    return [{ dtype: x!.dtype, shape }];
  },
  vjp: ({ inputs: [x], grads: [grad] }) => [reshape(grad!, x!.shape)],
  onnx: (emitter, node, [x], outputs, shape) => {
    const from = node.inputs[0]!.shape;
    // 0 copies the input's dimension at the same place; one -1 may be inferred.
    const literal = shape.map((dim, i) =>
      typeof dim === "number" ? dim : dim === from[i] ? 0 : -1,
    );
    const inferred = literal.filter((value) => value === -1).length;
    const target =
      inferred <= 1
        ? emitter.constant("int64", [literal.length], literal)
        : emitter.shapeTensor(shape);
    emitter.node("Reshape", [x!, target], outputs);
  },
};

/** The same elements in row-major order under another shape. */
export function reshape(x: Tensor, shape: Shape): Tensor {
  return sameShape(x.shape, shape) ? x : applySingle(reshapeOp, [x], shape);
}

const transposeOp: OpDefinition<readonly number[]> = {
  name: "Transpose",
  infer: ([x], permutation) => [
    { dtype: x!.dtype, shape: permutation.map((axis) => x!.shape[axis]!) },
  ],
  vjp: ({ grads: [grad], attributes }) => {
    const inverse = attributes.map((_, axis) => attributes.indexOf(axis));
    return [transpose(grad!, inverse)];
  },
  onnx: (emitter, _node, inputs, outputs, permutation) =>
    emitter.node("Transpose", inputs, outputs, { perm: { ints: permutation } }),
};

/** Output axis i is input axis permutation[i]. */
export function transpose(x: Tensor, permutation: readonly number[]): Tensor {
  return applySingle(transposeOp, [x], permutation);
}

export interface SplitAttributes {
  axis: number;
  sizes: readonly number[];
}

export const splitOp: OpDefinition<SplitAttributes> = {
  name: "Split",
  infer: ([x], { axis, sizes }) => {
    const total = sizes.reduce((sum, size) => sum + size, 0);
    if (x!.shape[axis] !== total) {
      throw new ShapeError(
        `cannot split axis ${axis} of ${describe(x!)} into [${sizes.join(", ")}]`,
      );
    }
    return sizes.map((size) => ({ dtype: x!.dtype, shape: replaceAxis(x!.shape, axis, size) }));
  },
  vjp: ({ outputs, grads, attributes: { axis } }) => [
    concat(
      outputs.map((output, i) => grads[i] ?? filled(output.shape, 0)),
      axis,
    ),
  ],
  onnx: (emitter, _node, [x], outputs, { axis, sizes }) =>
    emitter.node("Split", [x!, emitter.constant("int64", [sizes.length], sizes)], outputs, {
      axis: { int: axis },
    }),
};

function replaceAxis(shape: Shape, axis: number, dim: Dim): Shape {
  return shape.map((old, i) => (i === axis ? dim : old));
}

/** Cuts along an axis into pieces of the given sizes. */
export function split(x: Tensor, axis: number, sizes: readonly number[]): readonly Tensor[] {
  return applyOp(splitOp, [x], { axis, sizes });
}

const concatOp: OpDefinition<number> = {
  name: "Concat",
  infer: (inputs, axis) => {
    const total = inputs.reduce((sum, { shape }) => {
      const dim = shape[axis]!;
      if (typeof dim !== "number") throw new ShapeError(`concat: axis ${axis} is symbolic`);
      return sum + dim;
    }, 0);
    return [{ dtype: inputs[0]!.dtype, shape: replaceAxis(inputs[0]!.shape, axis, total) }];
  },
  vjp: ({ inputs, grads: [grad], attributes: axis }) =>
    split(
      grad!,
      axis,
      inputs.map(({ shape }) => shape[axis] as number),
    ),
  onnx: (emitter, _node, inputs, outputs, axis) =>
    emitter.node("Concat", inputs, outputs, { axis: { int: axis } }),
};

/** Joins tensors along an axis of known lengths. */
export function concat(inputs: readonly Tensor[], axis: number): Tensor {
  return applySingle(concatOp, inputs, axis);
}
