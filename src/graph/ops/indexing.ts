/** @file Row look-up and its transpose, row-wise scatter-add. */
import type { Dim } from "../dim.js";
import type { OpDefinition, Tensor } from "../tensor.js";
import { applySingle } from "../tensor.js";
import { cast, equal, mul, sub } from "./elementwise.js";
import { reshape } from "./shape.js";
import { constant, filled, isZeros, scalar } from "./source.js";

interface GatherAttributes {
  /** Row whose look-ups give no gradient (torch's `padding_idx`); null for none. */
  frozenRow: number | null;
  /** Whether no index repeats, which makes the gradient a copy instead of a sum. */
  unique: boolean;
}

const gatherRowsOp: OpDefinition<GatherAttributes> = {
  name: "Gather",
  infer: ([table, indices]) => [
    { dtype: table!.dtype, shape: [...indices!.shape, ...table!.shape.slice(1)] },
  ],
  vjp: ({ inputs: [table, indices], grads: [grad], attributes: { frozenRow, unique } }) => {
    let updates = grad!;
    if (unique) return [placeRows(updates, indices!, table!.shape[0]!), undefined];
    if (frozenRow !== null) {
      const frozen = cast(equal(indices!, constant([frozenRow], [], indices!.dtype)), "float32");
      const keep = sub(scalar(1), frozen);
      updates = mul(updates, reshape(keep, [...keep.shape, 1]));
    }
    return [scatterAddRows(filled(table!.shape, 0), indices!, updates), undefined];
  },
  onnx: (emitter, _node, inputs, outputs) =>
    emitter.node("Gather", inputs, outputs, { axis: { int: 0 } }),
};

/** Rows of a table: table [rows, width], int indices [n] -> [n, width]. */
export function gatherRows(
  table: Tensor,
  indices: Tensor,
  { frozenRow = null, unique = false }: Partial<GatherAttributes> = {},
): Tensor {
  return applySingle(gatherRowsOp, [table, indices], { frozenRow, unique });
}

/**
 * ScatterND with reduction=add races on ONNX Runtime's CPU provider when indices repeat;
 * ScatterElements is sequential there, so the sum is right and deterministic.
 */
export const scatterAddRowsOp: OpDefinition<null> = {
  name: "ScatterAddRows",
  infer: ([base]) => [{ dtype: base!.dtype, shape: base!.shape }],
  onnx: (emitter, _node, [base, indices, updates], outputs) => {
    const column = emitter.fresh("column");
    emitter.node("Unsqueeze", [indices!, emitter.constant("int64", [1], [-1])], [column]);
    const shape = emitter.fresh("shape");
    emitter.node("Shape", [updates!], [shape]);
    const expanded = emitter.fresh("expanded");
    emitter.node("Expand", [column, shape], [expanded]);
    emitter.node("ScatterElements", [base!, expanded, updates!], outputs, {
      axis: { int: 0 },
      reduction: { string: "add" },
    });
  },
};

/** base [rows, width] with updates [n, width] added at rows indices [n]; repeats accumulate. */
export function scatterAddRows(base: Tensor, indices: Tensor, updates: Tensor): Tensor {
  return applySingle(scatterAddRowsOp, [base, indices, updates], null);
}

/** Rows that are added to a table: updates float32 [n, width] at rows indices int [n]. */
export interface RowUpdates {
  indices: Tensor;
  updates: Tensor;
}

/**
 * Takes the scatter-adds off a tensor: what they start from, undefined for zeros, and what they
 * add, in order. Whoever owns the memory of the tensor adds a few rows to it in place, where a
 * graph copies the whole table.
 */
export function withoutScatters(tensor: Tensor): {
  base: Tensor | undefined;
  rows: readonly RowUpdates[];
} {
  if (tensor.node.op !== (scatterAddRowsOp as OpDefinition)) {
    return { base: isZeros(tensor) ? undefined : tensor, rows: [] };
  }
  const [start, indices, updates] = tensor.node.inputs;
  const { base, rows } = withoutScatters(start!);
  return { base, rows: [...rows, { indices: indices!, updates: updates! }] };
}

const placeRowsOp: OpDefinition<Dim> = {
  name: "PlaceRows",
  infer: ([updates], rows) => [
    { dtype: updates!.dtype, shape: [rows, ...updates!.shape.slice(1)] },
  ],
  // Copying whole rows by a gather is several times faster than scattering elements: invert the
  // indices (row to its update, or to a row of zeros after the last), then look up.
  onnx: (emitter, node, [updates, indices], outputs, rows) => {
    const [count, width] = node.inputs[0]!.shape;
    const countValue = emitter.shapeTensor([count!]);
    const countScalar = emitter.apply("Reshape", [countValue, emitter.constant("int64", [0], [])]);
    const inverse = emitter.apply("Expand", [countScalar, emitter.shapeTensor([rows])]);
    const bound = (value: number): string => emitter.constant("int64", [], [value]);
    const numbers = emitter.apply("Range", [bound(0), countScalar, bound(1)]);
    const filled = emitter.apply("ScatterElements", [inverse, indices!, numbers]);
    const zeros = emitter.constant("float32", [1, width as number], Array(width as number).fill(0));
    const extended = emitter.fresh("extended");
    emitter.node("Concat", [updates!, zeros], [extended], { axis: { int: 0 } });
    emitter.node("Gather", [extended, filled], outputs, { axis: { int: 0 } });
  },
};

/** Zeros [rows, width] with updates [n, width] at rows indices [n], no index twice. */
function placeRows(updates: Tensor, indices: Tensor, rows: Dim): Tensor {
  return applySingle(placeRowsOp, [updates, indices], rows);
}
