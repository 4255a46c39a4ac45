/** @file The operations of the tensor IR in TensorFlow.js, by their name in the IR. */
import type { Tensor as TfTensor, Tensor1D } from "@tensorflow/tfjs-core";
import type { Dim } from "../../graph/dim.js";
import type { ProductAttributes } from "../../graph/ops/linear.js";
import type { DType, Node } from "../../graph/tensor.js";
import type { Tfjs } from "./backend.js";

/** What a kernel may use: the functions, and the value of a dimension in this run. */
export interface KernelContext {
  tf: Tfjs;
  node: Node;
  dim(dim: Dim): number;
}

/** Returns the outputs of a node; an output that nothing reads may be left out at the end. */
export type Kernel = (
  context: KernelContext,
  inputs: readonly TfTensor[],
) => TfTensor | readonly TfTensor[];

const attributes = <A>({ node }: KernelContext): A => node.attributes as A;

/** A function of the inputs alone. */
const plain =
  (compute: (tf: Tfjs, ...inputs: TfTensor[]) => TfTensor): Kernel =>
  ({ tf }, inputs) =>
    compute(tf, ...inputs);

const product: Kernel = (context, [a, b]) => {
  const { transposeA, transposeB } = attributes<ProductAttributes>(context);
  return context.tf.matMul(a!, b!, transposeA, transposeB);
};

/** Sums rows of updates by the row that they go to. */
const sumByRow = (tf: Tfjs, updates: TfTensor, rows: TfTensor, count: number): TfTensor =>
  tf.unsortedSegmentSum(updates, tf.cast(rows, "int32") as Tensor1D, count);

const oneHot = (tf: Tfjs, indices: TfTensor, classes: number): TfTensor =>
  tf.cast(tf.oneHot(tf.cast(indices, "int32"), classes), "float32");

const tfTypes = { float32: "float32", int32: "int32", bool: "bool" } as const;

/** Returns the dtype in TensorFlow.js. @throws TypeError where it has none */
export function tfType(dtype: DType): "float32" | "int32" | "bool" {
  if (dtype === "int8" || dtype === "int64") throw new TypeError(`engine tfjs has no ${dtype}`);
  return tfTypes[dtype];
}

export const kernels: Readonly<Record<string, Kernel>> = {
  constant: (context) => {
    const given = attributes<{ values: number[]; shape: number[]; dtype: DType }>(context);
    return context.tf.tensor(given.values, given.shape, tfType(given.dtype));
  },
  filled: (context) => {
    const { shape, value } = attributes<{ shape: Dim[]; value: number }>(context);
    return context.tf.fill(shape.map(context.dim), value);
  },
  iota: (context) =>
    context.tf.range(0, context.dim(attributes<{ length: Dim }>(context).length), 1, "float32"),

  Add: plain((tf, a, b) => tf.add(a, b)),
  Sub: plain((tf, a, b) => tf.sub(a, b)),
  Mul: plain((tf, a, b) => tf.mul(a, b)),
  Min: plain((tf, a, b) => tf.minimum(a, b)),
  Greater: plain((tf, a, b) => tf.greater(a, b)),
  Equal: plain((tf, a, b) => tf.equal(a, b)),
  Neg: plain((tf, x) => tf.neg(x)),
  Exp: plain((tf, x) => tf.exp(x)),
  Abs: plain((tf, x) => tf.abs(x)),
  Sin: plain((tf, x) => tf.sin(x)),
  Cos: plain((tf, x) => tf.cos(x)),
  Erf: plain((tf, x) => tf.erf(x)),
  Gelu: plain((tf, x) => tf.mul(tf.mul(x, 0.5), tf.add(tf.erf(tf.mul(x, Math.SQRT1_2)), 1))),
  Where: plain((tf, condition, a, b) => tf.where(condition, a, b)),
  Cast: (context, [x]) => context.tf.cast(x!, tfType(attributes<DType>(context))),
  Dropout: (context, [x, keep]) => {
    const { probability } = attributes<{ probability: number }>(context);
    const kept = context.tf.where(keep!, x!, context.tf.zerosLike(x!));
    return context.tf.mul(kept, 1 / (1 - probability));
  },

  Gemm: product,
  MatMul: product,
  Gather: plain((tf, table, indices) => tf.gather(table, indices, 0)),
  ScatterAddRows: plain((tf, base, indices, updates) =>
    tf.add(base, sumByRow(tf, updates, indices, base.shape[0]!)),
  ),
  PlaceRows: (context, [updates, indices]) =>
    sumByRow(context.tf, updates!, indices!, context.dim(attributes<Dim>(context))),

  LayerNormalization: (context, [x, weight, bias]) => {
    const { tf } = context;
    const { epsilon } = attributes<{ epsilon: number }>(context);
    const { mean, variance } = tf.moments(x!, -1, true);
    const inverseStd = tf.rsqrt(tf.add(variance, epsilon));
    const scaled = tf.mul(tf.mul(tf.sub(x!, mean), inverseStd), weight!);
    return [bias ? tf.add(scaled, bias) : scaled, mean, inverseStd];
  },
  Softmax: plain((tf, x) => tf.softmax(x)),
  LinearCrossEntropy: ({ tf }, inputs) => {
    const [x, weight, bias, targets] = inputs as [TfTensor, TfTensor, TfTensor, TfTensor];
    const logits = tf.add(tf.matMul(x, weight, false, true), bias);
    const logProbabilities = tf.logSoftmax(logits);
    const picked = tf.mul(logProbabilities, oneHot(tf, targets, logits.shape[1]!));
    return [tf.neg(tf.sum(picked, 1)), logProbabilities];
  },

  ReduceSum: (context, [x]) => context.tf.sum(x!, attributes<number[]>(context), true),
  ReduceMean: (context, [x]) => context.tf.mean(x!, attributes<number[]>(context), true),
  ReduceMax: plain((tf, x) => tf.max(x, -1, true)),
  ArgMax: plain((tf, x) => tf.argMax(x, -1)),
  CumSum: (context, [x]) => context.tf.cumsum(x!, attributes<number>(context)),

  Reshape: (context, [x]) => context.tf.reshape(x!, attributes<Dim[]>(context).map(context.dim)),
  Transpose: (context, [x]) => context.tf.transpose(x!, attributes<number[]>(context)),
  Split: (context, [x]) => {
    const { sizes, axis } = attributes<{ sizes: number[]; axis: number }>(context);
    return context.tf.split(x!, sizes, axis);
  },
  Concat: (context, inputs) => context.tf.concat([...inputs], attributes<number>(context)),
  Rotary: plain((tf, x, cosines, sines) => {
    const [first, second] = tf.split(x, 2, -1) as [TfTensor, TfTensor];
    return tf.concat(
      [
        tf.sub(tf.mul(first, cosines), tf.mul(second, sines)),
        tf.add(tf.mul(second, cosines), tf.mul(first, sines)),
      ],
      -1,
    );
  }),
};
