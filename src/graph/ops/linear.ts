/** @file Matrix products. */
import { ShapeError } from "../../base/errors.js";
import { broadcastShapes, type Dim } from "../dim.js";
import type { OnnxEmitter } from "../onnx/emitter.js";
import type { OpDefinition, Tensor } from "../tensor.js";
import { applySingle, describe } from "../tensor.js";

export interface ProductAttributes {
  transposeA: boolean;
  transposeB: boolean;
}

type Options = Partial<ProductAttributes>;

function inferProduct(a: Tensor, b: Tensor, { transposeA, transposeB }: ProductAttributes) {
  const [rowsA, columnsA] = a.shape.slice(-2);
  const [rowsB, columnsB] = b.shape.slice(-2);
  const [m, innerA] = transposeA ? [columnsA!, rowsA!] : [rowsA!, columnsA!];
  const [innerB, n] = transposeB ? [columnsB!, rowsB!] : [rowsB!, columnsB!];
  if (innerA !== innerB) {
    throw new ShapeError(
      `matrix product of ${describe(a)}${transposeA ? "^T" : ""} and ${describe(b)}${transposeB ? "^T" : ""}`,
    );
  }
  const lead = broadcastShapes(a.shape.slice(0, -2), b.shape.slice(0, -2));
  return [{ dtype: a.dtype, shape: [...lead, m, n] }];
}

type Product = (a: Tensor, b: Tensor, options: Options) => Tensor;

/** Gradients of C = op(A) op(B) for each transposition, as one product each. */
function productVjp(product: Product, a: Tensor, b: Tensor, grad: Tensor, t: ProductAttributes) {
  const gradA = t.transposeA
    ? product(b, grad, { transposeA: t.transposeB, transposeB: true })
    : product(grad, b, { transposeB: !t.transposeB });
  const gradB = t.transposeB
    ? product(grad, a, { transposeA: true, transposeB: t.transposeA })
    : product(a, grad, { transposeA: !t.transposeA });
  return [gradA, gradB];
}

export const gemmOp: OpDefinition<ProductAttributes> = {
  name: "Gemm",
  infer: ([a, b], attributes) => inferProduct(a!, b!, attributes),
  vjp: ({ inputs: [a, b], grads: [grad], attributes }) =>
    productVjp(gemm, a!, b!, grad!, attributes),
  onnx: (emitter, node, [a, b], outputs, { transposeA, transposeB }) => {
    const isTurned = transposeA && Number(node.outputs[0]!.shape[1]) >= WIDE;
    emitter.node("Gemm", [isTurned ? turned(emitter, node.inputs[0]!, a!) : a!, b!], outputs, {
      transA: { int: Number(transposeA && !isTurned) },
      transB: { int: Number(transposeB) },
    });
  },
};

/**
 * Columns of a product from which its left operand is transposed once, before it: ONNX Runtime's
 * product transposes it again for every 128 of them. Measured.
 */
const WIDE = 512;

/** Emits the transpose of a matrix, in a form that the optimiser does not fold into the product. */
function turned(emitter: OnnxEmitter, { shape: [rows, columns] }: Tensor, name: string): string {
  const reshaped = (input: string, shape: readonly Dim[]): string =>
    emitter.apply("Reshape", [input, emitter.shapeTensor(shape)]);
  const swapped = emitter.fresh("transposed");
  const batched = reshaped(name, [1, rows!, columns!]);
  emitter.node("Transpose", [batched], [swapped], { perm: { ints: [0, 2, 1] } });
  return reshaped(swapped, [columns!, rows!]);
}

/** Product of two matrices, each optionally transposed: [m, k] x [k, n] -> [m, n]. */
export function gemm(
  a: Tensor,
  b: Tensor,
  { transposeA = false, transposeB = false }: Options = {},
): Tensor {
  return applySingle(gemmOp, [a, b], { transposeA, transposeB });
}

const matmulOp: OpDefinition<ProductAttributes> = {
  name: "MatMul",
  infer: ([a, b], attributes) => inferProduct(a!, b!, attributes),
  vjp: ({ inputs: [a, b], grads: [grad], attributes }) =>
    productVjp(matmul, a!, b!, grad!, attributes),
  onnx: (emitter, node, [a, b], outputs, { transposeA, transposeB }) => {
    const swapLast = (name: string, rank: number): string => {
      const swapped = emitter.fresh("transposed");
      const perm = [...Array(rank).keys()];
      perm.push(...perm.splice(-2).reverse());
      emitter.node("Transpose", [name], [swapped], { perm: { ints: perm } });
      return swapped;
    };
    const rank = node.inputs[0]!.shape.length;
    emitter.node(
      "MatMul",
      [transposeA ? swapLast(a!, rank) : a!, transposeB ? swapLast(b!, rank) : b!],
      outputs,
    );
  },
};

/** Batched product over equal leading axes, the last two optionally swapped: [..., m, k] x [..., k, n]. */
export function matmul(
  a: Tensor,
  b: Tensor,
  { transposeA = false, transposeB = false }: Options = {},
): Tensor {
  return applySingle(matmulOp, [a, b], { transposeA, transposeB });
}
