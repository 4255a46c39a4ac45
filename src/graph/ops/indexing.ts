/** @file Row look-up and its transpose, row-wise scatter-add. */
import type { OpDefinition, Tensor } from "../tensor.js";
import { applySingle } from "../tensor.js";
import { cast, equal, mul, sub } from "./elementwise.js";
import { reshape } from "./shape.js";
import { constant, filled, scalar } from "./source.js";

interface GatherAttributes {
  /** Row whose look-ups give no gradient (torch's `padding_idx`); null for none. */
  frozenRow: number | null;
}

const gatherRowsOp: OpDefinition<GatherAttributes> = {
  name: "Gather",
  infer: ([table, indices]) => [
    { dtype: table!.dtype, shape: [...indices!.shape, ...table!.shape.slice(1)] },
  ],
  vjp: ({ inputs: [table, indices], grads: [grad], attributes: { frozenRow } }) => {
    let updates = grad!;
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
  { frozenRow = null }: Partial<GatherAttributes> = {},
): Tensor {
  return applySingle(gatherRowsOp, [table, indices], { frozenRow });
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
