/** @file Elementwise operations with NumPy broadcasting, and their gradients. */
import { broadcastShapes, sameShape } from "../dim.js";
import type { DType, OpDefinition, Tensor } from "../tensor.js";
import { onnxDataType } from "../onnx/emitter.js";
import { applySingle } from "../tensor.js";
import { reduceSum } from "./reduce.js";
import { reshape } from "./shape.js";
import { scalar } from "./source.js";

type BinaryVjp = (a: Tensor, b: Tensor, grad: Tensor) => readonly [Tensor?, Tensor?];

/** Sums a gradient over the axes along which an operand was broadcast. */
function unbroadcast(grad: Tensor, operand: Tensor): Tensor {
  if (sameShape(grad.shape, operand.shape)) return grad;
  const lead = grad.shape.length - operand.shape.length;
  const axes = grad.shape.flatMap((dim, axis) =>
    axis < lead || (operand.shape[axis - lead] === 1 && dim !== 1) ? [axis] : [],
  );
  return reshape(axes.length === 0 ? grad : reduceSum(grad, axes), operand.shape);
}

function binary(onnxType: string, vjp?: BinaryVjp, dtype?: DType) {
  const op: OpDefinition<null> = {
    name: onnxType,
    infer: ([a, b]) => [{ dtype: dtype ?? a!.dtype, shape: broadcastShapes(a!.shape, b!.shape) }],
    ...(vjp && {
      vjp: ({ inputs: [a, b], grads: [grad] }) => {
        const [da, db] = vjp(a!, b!, grad!);
        return [da && unbroadcast(da, a!), db && unbroadcast(db, b!)];
      },
    }),
    onnx: (emitter, _node, inputs, outputs) => emitter.node(onnxType, inputs, outputs),
  };
  return (a: Tensor, b: Tensor): Tensor => applySingle(op, [a, b], null);
}

function unary(onnxType: string, vjp?: (x: Tensor, y: Tensor, grad: Tensor) => Tensor) {
  const op: OpDefinition<null> = {
    name: onnxType,
    infer: ([x]) => [{ dtype: x!.dtype, shape: x!.shape }],
    ...(vjp && {
      vjp: ({ inputs: [x], outputs: [y], grads: [grad] }) => [vjp(x!, y!, grad!)],
    }),
    onnx: (emitter, _node, inputs, outputs) => emitter.node(onnxType, inputs, outputs),
  };
  return (x: Tensor): Tensor => applySingle(op, [x], null);
}

export const add = binary("Add", (_a, _b, grad) => [grad, grad]);
export const sub = binary("Sub", (_a, _b, grad) => [grad, neg(grad)]);
export const mul = binary("Mul", (a, b, grad) => [mul(grad, b), mul(grad, a)]);
/** Elementwise minimum; used for masks, which need no gradient. */
export const minimum = binary("Min");
/** a > b as bool; not differentiable. */
export const greater = binary("Greater", undefined, "bool");
/** a == b as bool; not differentiable. */
export const equal = binary("Equal", undefined, "bool");

export const neg = unary("Neg", (_x, _y, grad) => neg(grad));
export const exp = unary("Exp", (_x, y, grad) => mul(grad, y));
export const abs = unary("Abs");
export const sin = unary("Sin", (x, _y, grad) => mul(grad, cos(x)));
export const cos = unary("Cos", (x, _y, grad) => neg(mul(grad, sin(x))));
/** Gauss error function: d erf / dx = 2 / sqrt(pi) * exp(-x^2). */
export const erf: (x: Tensor) => Tensor = unary("Erf", (x, _y, grad) =>
  mul(grad, mul(scalar(2 / Math.sqrt(Math.PI)), exp(neg(mul(x, x))))),
);

/** gelu(x) = x Phi(x), the exact (erf) form; float32, any shape. */
export const gelu: (x: Tensor) => Tensor = unary("Gelu", (x, _y, grad) => {
  // d gelu / dx = Phi(x) + x phi(x)
  const phi = mul(scalar(1 / Math.sqrt(2 * Math.PI)), exp(mul(mul(x, x), scalar(-0.5))));
  const cumulative = mul(add(erf(mul(x, scalar(Math.SQRT1_2))), scalar(1)), scalar(0.5));
  return mul(grad, add(cumulative, mul(x, phi)));
});

const whereOp: OpDefinition<null> = {
  name: "Where",
  infer: ([condition, a, b]) => [
    {
      dtype: a!.dtype,
      shape: broadcastShapes(condition!.shape, broadcastShapes(a!.shape, b!.shape)),
    },
  ],
  onnx: (emitter, _node, inputs, outputs) => emitter.node("Where", inputs, outputs),
};

/** a where the condition holds, else b; used for masks, which need no gradient. */
export function where(condition: Tensor, a: Tensor, b: Tensor): Tensor {
  return applySingle(whereOp, [condition, a, b], null);
}

const castOp: OpDefinition<DType> = {
  name: "Cast",
  infer: ([x], dtype) => [{ dtype, shape: x!.shape }],
  onnx: (emitter, _node, inputs, outputs, dtype) =>
    emitter.node("Cast", inputs, outputs, { to: { int: onnxDataType[dtype] } }),
};

/** Converts to another dtype; used on ids and masks, which need no gradient. */
export function cast(x: Tensor, dtype: DType): Tensor {
  return applySingle(castOp, [x], dtype);
}
