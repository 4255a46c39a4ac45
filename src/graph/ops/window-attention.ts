/**
 * @file Sliding-window attention in blocks of queries, each with the keys that its windows reach:
 * cost and memory grow with the tokens, not with their square. A block has as many queries as a
 * window is wide, so its keys are those of two blocks. Nothing of a block's scores is kept for the
 * gradient, which computes them again (as arXiv:2205.14135 does). For ONNX Runtime on the CPU only.
 */
import type { OnnxEmitter } from "../onnx/emitter.js";
import type { OpDefinition, Tensor } from "../tensor.js";
import { applyOp, applySingle } from "../tensor.js";

/** The blocks of a sequence: as many symbolically, whatever its length. */
const BLOCKS = "blocks";
const SEQ_AXIS = 2;

interface WindowAttributes {
  /** How far a query sees to either side, in positions; half a block. */
  reach: number;
}

/** What the windows of all layers have in common. */
export interface Windows extends WindowAttributes {
  /** float32 [batch or 1, 1, blocks, 2 reach, 4 reach]: added to the scores. */
  mask: Tensor;
  /** int64 [blocks, 4]: the pieces of `reach` keys that a block needs, of the padded sequence. */
  pieces: Tensor;
  /** int64 [1]: positions that the last block lacks. */
  missing: Tensor;
}

const ints = (emitter: OnnxEmitter, ...values: number[]): string =>
  emitter.constant("int64", [values.length], values);

function emitPad(
  emitter: OnnxEmitter,
  x: string,
  { before, after, axis, value }: { before: string; after: string; axis: number; value: number },
): string {
  const sides = emitter.fresh("sides");
  emitter.node("Concat", [before, after], [sides], { axis: { int: 0 } });
  const filling = emitter.constant("float32", [], [value]);
  return emitter.apply("Pad", [x, sides, filling, ints(emitter, axis)]);
}

function emitGather(emitter: OnnxEmitter, x: string, indices: string, axis: number): string {
  const output = emitter.fresh("pieces");
  emitter.node("Gather", [x, indices], [output], { axis: { int: axis } });
  return output;
}

interface WindowsAttributes extends WindowAttributes {
  /** What is added to the scores of keys beyond the sequence's ends. */
  hidden: number;
}

const windowsOp: OpDefinition<WindowsAttributes> = {
  name: "Windows",
  infer: ([keyMask], { reach }) => [
    { dtype: "float32", shape: [keyMask!.shape[0]!, 1, BLOCKS, 2 * reach, 4 * reach] },
    { dtype: "int64", shape: [BLOCKS, 4] },
    { dtype: "int64", shape: [1] },
  ],
  onnx: (emitter, node, [keyMask, band], [mask, pieces, missing], { reach, hidden }) => {
    const width = ints(emitter, 2 * reach);
    const seq = emitter.shapeTensor([node.inputs[0]!.shape.at(-1)!]);
    const over = emitter.apply("Mod", [seq, width]);
    emitter.node("Mod", [emitter.apply("Sub", [width, over]), width], [missing!]);

    const padded = emitter.apply("Add", [seq, missing!]);
    const limit = emitter.apply("Reshape", [
      emitter.apply("Div", [padded, ints(emitter, reach)]),
      emitter.constant("int64", [0], []),
    ]);
    const bound = (value: number): string => emitter.constant("int64", [], [value]);
    const first = emitter.apply("Range", [bound(0), limit, bound(2)]);
    const column = emitter.apply("Unsqueeze", [first, ints(emitter, 1)]);
    emitter.node("Add", [column, ints(emitter, 0, 1, 2, 3)], [pieces!]);

    // [batch, 1, 1, seq] -> [batch, 1, 1, pieces, reach] -> [batch, 1, blocks, 1, 4 reach]
    const ended = emitPad(emitter, keyMask!, {
      before: ints(emitter, reach),
      after: emitter.apply("Add", [missing!, ints(emitter, reach)]),
      axis: 3,
      value: hidden,
    });
    const cut = emitter.apply("Reshape", [ended, ints(emitter, 0, 1, -1, reach)]);
    const gathered = emitGather(emitter, cut, pieces!, SEQ_AXIS);
    const keys = emitter.apply("Reshape", [gathered, ints(emitter, 0, 1, -1, 1, 4 * reach)]);
    emitter.node("Min", [keys, band!], [mask!]);
  },
};

/**
 * Returns the windows of a sequence from two additive masks.
 * @param keyMask of each key, float32 [batch or 1, 1, 1, seq]
 * @param band of what is out of reach in a block, float32 [2 reach, 4 reach]: its first key is
 *   `reach` before its first query
 */
export function windowsOf(keyMask: Tensor, band: Tensor, attributes: WindowsAttributes): Windows {
  const [mask, pieces, missing] = applyOp(windowsOp, [keyMask, band], attributes);
  return { reach: attributes.reach, mask: mask!, pieces: pieces!, missing: missing! };
}

/** What the context and its gradient are both made of. */
function emitBlocks(
  emitter: OnnxEmitter,
  [mask, pieces, missing]: readonly [string, string, string],
  reach: number,
) {
  const none = ints(emitter, 0);
  const side = ints(emitter, reach);
  const beyond = emitter.apply("Add", [missing, side]);
  const pad = (x: string, before: string, after: string): string =>
    emitPad(emitter, x, { before, after, axis: SEQ_AXIS, value: 0 });
  /** [batch, heads, seq, width] -> [batch, heads, blocks, 2 reach, width] */
  const inBlocks = (x: string, width: number): string =>
    emitter.apply("Reshape", [pad(x, none, missing), ints(emitter, 0, 0, -1, 2 * reach, width)]);
  /** [batch, heads, seq, width] -> [batch, heads, blocks, 4 reach, width], with overlap */
  const inWindows = (x: string, width: number): string => {
    const cut = emitter.apply("Reshape", [
      pad(x, side, beyond),
      ints(emitter, 0, 0, -1, reach, width),
    ]);
    const gathered = emitGather(emitter, cut, pieces, SEQ_AXIS);
    return emitter.apply("Reshape", [gathered, ints(emitter, 0, 0, -1, 4 * reach, width)]);
  };
  /** [batch, heads, blocks, 2 reach, width] -> [batch, heads, seq, width] */
  const joined = (x: string, width: number, output: string): void => {
    const flat = emitter.apply("Reshape", [x, ints(emitter, 0, 0, -1, width)]);
    const sides = emitter.fresh("sides");
    emitter.node("Concat", [none, emitter.apply("Neg", [missing])], [sides], { axis: { int: 0 } });
    const filling = emitter.constant("float32", [], [0]);
    emitter.node("Pad", [flat, sides, filling, ints(emitter, SEQ_AXIS)], [output]);
  };
  /** The gradient of `inWindows`: a key is in the second half of a window and in the first of the next. */
  const folded = (x: string, width: number, output: string): void => {
    const halves = emitter.apply("Reshape", [x, ints(emitter, 0, 0, -1, 2, 2 * reach, width)]);
    const [first, second] = [emitter.fresh("first"), emitter.fresh("second")];
    emitter.node("Split", [halves, ints(emitter, 1, 1)], [first, second], { axis: { int: 3 } });
    const flat = (half: string): string =>
      emitter.apply("Reshape", [half, ints(emitter, 0, 0, -1, width)]);
    const back = emitter.apply("Neg", [side]);
    const [after, cut] = [emitter.apply("Sub", [side, missing]), emitter.apply("Neg", [beyond])];
    const terms = [pad(flat(first), back, after), pad(flat(second), side, cut)];
    emitter.node("Add", terms, [output]);
  };
  const product = (
    a: string,
    b: string,
    { alpha = 1, transA = 0, transB = 0 }: { alpha?: number; transA?: number; transB?: number },
  ): string => {
    const output = emitter.fresh("product");
    emitter.node(
      "FusedMatMul",
      [a, b],
      [output],
      { alpha: { float: alpha }, transA: { int: transA }, transB: { int: transB } },
      "com.microsoft",
    );
    return output;
  };
  return {
    inBlocks,
    inWindows,
    joined,
    folded,
    product,
    probabilities(q: string, k: string, scale: number): string {
      const scores = product(q, k, { alpha: scale, transB: 1 });
      const output = emitter.fresh("probabilities");
      const masked = emitter.apply("Add", [scores, mask]);
      emitter.node("Softmax", [masked], [output], { axis: { int: -1 } });
      return output;
    },
  };
}

const widthOf = ({ shape }: Tensor): number => shape.at(-1) as number;
const scaleOf = (q: Tensor): number => 1 / Math.sqrt(widthOf(q));

const windowAttentionOp: OpDefinition<WindowAttributes> = {
  name: "WindowAttention",
  infer: ([q]) => [{ dtype: q!.dtype, shape: q!.shape }],
  vjp: ({ inputs, outputs: [context], grads: [grad], attributes }) => {
    const shared = [...inputs, context!, grad!];
    const [dQ, dK, dV] = applyOp(windowAttentionGradOp, shared, attributes);
    return [dQ, dK, dV, undefined, undefined, undefined];
  },
  onnx: (emitter, node, [q, k, v, mask, pieces, missing], [output], { reach }) => {
    const query = node.inputs[0]!;
    const width = widthOf(query);
    const blocks = emitBlocks(emitter, [mask!, pieces!, missing!], reach);
    const [queries, keys] = [blocks.inBlocks(q!, width), blocks.inWindows(k!, width)];
    const probabilities = blocks.probabilities(queries, keys, scaleOf(query));
    const context = emitter.apply("MatMul", [probabilities, blocks.inWindows(v!, width)]);
    blocks.joined(context, width, output!);
  },
};

/** The gradients of q, k and v; further inputs: the context and its gradient. */
const windowAttentionGradOp: OpDefinition<WindowAttributes> = {
  name: "WindowAttentionGrad",
  infer: ([q, k, v]) => [q!, k!, v!].map(({ dtype, shape }) => ({ dtype, shape })),
  onnx: (emitter, node, inputs, [dQ, dK, dV], { reach }) => {
    const [q, k, v, mask, pieces, missing, context, grad] = inputs;
    const query = node.inputs[0]!;
    const width = widthOf(query);
    const scale = scaleOf(query);
    const blocks = emitBlocks(emitter, [mask!, pieces!, missing!], reach);
    const { inBlocks, inWindows } = blocks;
    const queries = inBlocks(q!, width);
    const keys = inWindows(k!, width);
    const given = inBlocks(grad!, width);
    const probabilities = blocks.probabilities(queries, keys, scale);

    // d scores = p (dp - sum(dp p)), and sum(dp p) over the keys is sum(grad context) over the width.
    const weighted = emitter.apply("Mul", [grad!, context!]);
    const sums = emitter.fresh("sums");
    emitter.node("ReduceSum", [weighted, ints(emitter, -1)], [sums], { keepdims: { int: 1 } });
    const dP = blocks.product(given, inWindows(v!, width), { transB: 1 });
    const centred = emitter.apply("Sub", [dP, inBlocks(sums, 1)]);
    const dScores = emitter.apply("Mul", [probabilities, centred]);

    blocks.joined(blocks.product(dScores, keys, { alpha: scale }), width, dQ!);
    blocks.folded(blocks.product(dScores, queries, { alpha: scale, transA: 1 }), width, dK!);
    blocks.folded(blocks.product(probabilities, given, { transA: 1 }), width, dV!);
  },
};

/**
 * softmax(q k^T / sqrt(width) + mask) v, each query over the keys in its window.
 * q, k, v float32 [batch, heads, seq, width] -> the same shape. A query that sees no key averages
 * those around it.
 */
export function windowAttention(q: Tensor, k: Tensor, v: Tensor, windows: Windows): Tensor {
  const { mask, pieces, missing, reach } = windows;
  return applySingle(windowAttentionOp, [q, k, v, mask, pieces, missing], { reach });
}
