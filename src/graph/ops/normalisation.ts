/** @file Layer normalisation and softmax over the last axis. */
import type { OpDefinition, Tensor } from "../tensor.js";
import { applyOp, applySingle } from "../tensor.js";
import { mul, sub } from "./elementwise.js";
import { reduceMean, reduceSum } from "./reduce.js";
import { reshape } from "./shape.js";

interface LayerNormAttributes {
  epsilon: number;
}

/** Outputs: normalised [n, width], mean [n, 1], inverse standard deviation [n, 1]. */
const layerNormOp: OpDefinition<LayerNormAttributes> = {
  name: "LayerNormalization",
  infer: ([x]) => {
    const statistics = { dtype: x!.dtype, shape: [...x!.shape.slice(0, -1), 1] };
    return [{ dtype: x!.dtype, shape: x!.shape }, statistics, statistics];
  },
  vjp: ({ inputs, outputs: [, mean, inverseStd], grads: [grad] }) => {
    const [x, weight, bias] = inputs;
    const last = x!.shape.length - 1;
    const rows = [...Array(last).keys()];
    const normalised = mul(sub(x!, mean!), inverseStd!);
    const scaled = mul(grad!, weight!);
    const dx = mul(
      sub(
        sub(scaled, reduceMean(scaled, [last])),
        mul(normalised, reduceMean(mul(scaled, normalised), [last])),
      ),
      inverseStd!,
    );
    const dWeight = reshape(reduceSum(mul(grad!, normalised), rows), weight!.shape);
    return bias ? [dx, dWeight, reshape(reduceSum(grad!, rows), bias.shape)] : [dx, dWeight];
  },
  onnx: (emitter, _node, inputs, outputs, { epsilon }) =>
    emitter.node("LayerNormalization", inputs, outputs, {
      axis: { int: -1 },
      epsilon: { float: epsilon },
    }),
};

/**
 * (x - mean) / sqrt(var + epsilon) * weight (+ bias) over the last axis, biased variance.
 * x float32 [..., width], weight and bias float32 [width].
 */
export function layerNorm(x: Tensor, weight: Tensor, epsilon: number, bias?: Tensor): Tensor {
  const inputs = bias ? [x, weight, bias] : [x, weight];
  return applyOp(layerNormOp, inputs, { epsilon })[0]!;
}

const softmaxOp: OpDefinition<null> = {
  name: "Softmax",
  infer: ([x]) => [{ dtype: x!.dtype, shape: x!.shape }],
  // dx = y (dy - sum(dy y))
  vjp: ({ outputs: [y], grads: [grad] }) => {
    const last = y!.shape.length - 1;
    return [mul(y!, sub(grad!, reduceSum(mul(grad!, y!), [last])))];
  },
  onnx: (emitter, _node, inputs, outputs) =>
    emitter.node("Softmax", inputs, outputs, { axis: { int: -1 } }),
};

/** Softmax over the last axis. */
export function softmax(x: Tensor): Tensor {
  return applySingle(softmaxOp, [x], null);
}
