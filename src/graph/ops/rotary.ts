/**
 * @file Rotary position embedding, "rotate half" layout (arXiv:2104.09864;
 * huggingface/transformers@v4.57.6 models/modernbert/modeling_modernbert.py apply_rotary_pos_emb).
 */
import type { Dim } from "../dim.js";
import type { OpDefinition, Tensor } from "../tensor.js";
import { applySingle } from "../tensor.js";
import { cos, mul, neg, sin } from "./elementwise.js";
import { reshape } from "./shape.js";
import { constant, iota } from "./source.js";

export interface RotaryTable {
  /** float32 [seq, headDim / 2] */
  cos: Tensor;
  /** float32 [seq, headDim / 2] */
  sin: Tensor;
}

/** Returns cos and sin of position * theta^(-2i/headDim), computed in float32 like the reference. */
export function rotaryTable(seq: Dim, headDim: number, theta: number): RotaryTable {
  const half = headDim / 2;
  const inverseFrequency = Array.from({ length: half }, (_, i) =>
    Math.fround(1 / Math.fround(theta ** Math.fround((2 * i) / headDim))),
  );
  const angles = mul(reshape(iota(seq), [seq, 1]), constant(inverseFrequency, [1, half]));
  return { cos: cos(angles), sin: sin(angles) };
}

const rotaryOp: OpDefinition<null> = {
  name: "Rotary",
  infer: ([x]) => [{ dtype: x!.dtype, shape: x!.shape }],
  // A rotation's transpose is the rotation by the opposite angle.
  vjp: ({ inputs: [, cosines, sines], grads: [grad] }) => [
    applySingle(rotaryOp, [grad!, cosines!, neg(sines!)], null),
    undefined,
    undefined,
  ],
  onnx: (emitter, node, [x, cosines, sines], outputs) => {
    if (emitter.dialect === "onnxruntime") {
      // One pass instead of eight; positions count from 0.
      const start = emitter.constant("int64", [1], [0]);
      emitter.node(
        "RotaryEmbedding",
        [x!, start, cosines!, sines!],
        outputs,
        { interleaved: { int: 0 } },
        "com.microsoft",
      );
      return;
    }
    const width = node.inputs[0]!.shape.at(-1) as number;
    const [first, second] = [emitter.fresh("first"), emitter.fresh("second")];
    const sizes = emitter.constant("int64", [2], [width / 2, width / 2]);
    emitter.node("Split", [x!, sizes], [first, second], { axis: { int: -1 } });
    const product = (a: string, b: string): string => emitter.apply("Mul", [a, b]);
    emitter.node(
      "Concat",
      [
        emitter.apply("Sub", [product(first, cosines!), product(second, sines!)]),
        emitter.apply("Add", [product(second, cosines!), product(first, sines!)]),
      ],
      outputs,
      { axis: { int: -1 } },
    );
  },
};

/** Rotates x [batch, heads, seq, headDim] by its position: x cos + rotate_half(x) sin. */
export function rotary(x: Tensor, table: RotaryTable): Tensor {
  return applySingle(rotaryOp, [x, table.cos, table.sin], null);
}
