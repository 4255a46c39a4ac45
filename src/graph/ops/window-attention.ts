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
  /** What is added at both ends of an axis, or taken off, int64 [2] each, in the order of `PADS`. */
  pads: readonly Tensor[];
}

/** From a sequence to its blocks and windows, and back: a key is in the halves of two windows. */
const PADS = ["toBlocks", "toWindows", "fromBlocks", "fromFirst", "fromSecond"] as const;
type Pad = (typeof PADS)[number];
const padOf = (pads: readonly string[], name: Pad): string => pads[PADS.indexOf(name)]!;

const ints = (emitter: OnnxEmitter, ...values: number[]): string =>
  emitter.constant("int64", [values.length], values);

function emitPad(
  emitter: OnnxEmitter,
  x: string,
  pads: string,
  { axis = SEQ_AXIS, value = 0, output = emitter.fresh("padded") } = {},
): string {
  const filling = emitter.constant("float32", [], [value]);
  emitter.node("Pad", [x, pads, filling, ints(emitter, axis)], [output]);
  return output;
}

/** The pieces of a sequence that each block needs, in the place of its pieces in order. */
function emitGather(emitter: OnnxEmitter, cut: string, pieces: string): string {
  const output = emitter.fresh("pieces");
  emitter.node("Gather", [cut, pieces], [output], { axis: { int: SEQ_AXIS } });
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
    ...PADS.map(() => ({ dtype: "int64" as const, shape: [2] })),
  ],
  onnx: (emitter, node, [keyMask, band], [mask, pieces, ...pads], { reach, hidden }) => {
    const width = ints(emitter, 2 * reach);
    const seq = emitter.shapeTensor([node.inputs[0]!.shape.at(-1)!]);
    const over = emitter.apply("Mod", [seq, width]);
    // Positions that the last block lacks.
    const missing = emitter.apply("Mod", [emitter.apply("Sub", [width, over]), width]);
    const [none, side] = [ints(emitter, 0), ints(emitter, reach)];
    const beyond = emitter.apply("Add", [missing, side]);
    const negated = (value: string): string => emitter.apply("Neg", [value]);
    const ends: Record<Pad, [string, string]> = {
      toBlocks: [none, missing],
      toWindows: [side, beyond],
      fromBlocks: [none, negated(missing)],
      fromFirst: [negated(side), emitter.apply("Sub", [side, missing])],
      fromSecond: [side, negated(beyond)],
    };
    PADS.forEach((name, i) => emitter.node("Concat", ends[name], [pads[i]!], { axis: { int: 0 } }));

    const padded = emitter.apply("Add", [seq, missing]);
    const limit = emitter.apply("Reshape", [
      emitter.apply("Div", [padded, side]),
      emitter.constant("int64", [0], []),
    ]);
    const bound = (value: number): string => emitter.constant("int64", [], [value]);
    const first = emitter.apply("Range", [bound(0), limit, bound(2)]);
    const column = emitter.apply("Unsqueeze", [first, ints(emitter, 1)]);
    emitter.node("Add", [column, ints(emitter, 0, 1, 2, 3)], [pieces!]);

    // [batch, 1, 1, seq] -> [batch, 1, 1, pieces, reach] -> [batch, 1, blocks, 1, 4 reach]
    const toWindows = padOf(pads, "toWindows");
    const ended = emitPad(emitter, keyMask!, toWindows, { axis: 3, value: hidden });
    const cut = emitter.apply("Reshape", [ended, ints(emitter, 0, 1, -1, reach)]);
    const gathered = emitGather(emitter, cut, pieces!);
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
  const [mask, pieces, ...pads] = applyOp(windowsOp, [keyMask, band], attributes);
  return { reach: attributes.reach, mask: mask!, pieces: pieces!, pads };
}

/** What the context and its gradient are both made of. */
function emitBlocks(
  emitter: OnnxEmitter,
  [mask, pieces, ...pads]: readonly string[],
  reach: number,
) {
  const pad = (x: string, name: Pad, output = emitter.fresh("padded")): string =>
    emitPad(emitter, x, padOf(pads, name), { output });
  const shaped = (x: string, ...shape: number[]): string =>
    emitter.apply("Reshape", [x, ints(emitter, ...shape)]);
  /** [batch, heads, seq, width] -> [batch, heads, blocks, 2 reach, width] */
  const inBlocks = (x: string, width: number): string =>
    shaped(pad(x, "toBlocks"), 0, 0, -1, 2 * reach, width);
  /** [batch, heads, seq, width] -> [batch, heads, blocks, 4 reach, width], with overlap */
  const inWindows = (x: string, width: number): string => {
    const cut = shaped(pad(x, "toWindows"), 0, 0, -1, reach, width);
    return shaped(emitGather(emitter, cut, pieces!), 0, 0, -1, 4 * reach, width);
  };
  /** [batch, heads, blocks, 2 reach, width] -> [batch, heads, seq, width] */
  const joined = (x: string, width: number, output: string): void => {
    pad(shaped(x, 0, 0, -1, width), "fromBlocks", output);
  };
  /** The gradient of `inWindows`. */
  const folded = (x: string, width: number, output: string): void => {
    const halves = shaped(x, 0, 0, -1, 2, 2 * reach, width);
    const [first, second] = [emitter.fresh("first"), emitter.fresh("second")];
    emitter.node("Split", [halves, ints(emitter, 1, 1)], [first, second], { axis: { int: 3 } });
    const flat = (half: string): string => shaped(half, 0, 0, -1, width);
    emitter.node("Add", [pad(flat(first), "fromFirst"), pad(flat(second), "fromSecond")], [output]);
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
      const masked = emitter.apply("Add", [scores, mask!]);
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
    return [dQ, dK, dV, ...inputs.slice(3).map(() => undefined)];
  },
  onnx: (emitter, node, [q, k, v, ...windows], [output], { reach }) => {
    const query = node.inputs[0]!;
    const width = widthOf(query);
    const blocks = emitBlocks(emitter, windows, reach);
    const [queries, keys] = [blocks.inBlocks(q!, width), blocks.inWindows(k!, width)];
    const probabilities = blocks.probabilities(queries, keys, scaleOf(query));
    const context = emitter.apply("MatMul", [probabilities, blocks.inWindows(v!, width)]);
    blocks.joined(context, width, output!);
  },
};

/** The gradients of q, k and v; last inputs: the context and its gradient. */
const windowAttentionGradOp: OpDefinition<WindowAttributes> = {
  name: "WindowAttentionGrad",
  infer: ([q, k, v]) => [q!, k!, v!].map(({ dtype, shape }) => ({ dtype, shape })),
  onnx: (emitter, node, inputs, [dQ, dK, dV], { reach }) => {
    const [q, k, v, ...windows] = inputs.slice(0, -2);
    const [context, grad] = inputs.slice(-2);
    const query = node.inputs[0]!;
    const width = widthOf(query);
    const scale = scaleOf(query);
    const blocks = emitBlocks(emitter, windows, reach);
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
  const { mask, pieces, pads, reach } = windows;
  return applySingle(windowAttentionOp, [q, k, v, mask, pieces, ...pads], { reach });
}
