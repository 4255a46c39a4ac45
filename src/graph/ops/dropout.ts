/** @file Dropout whose random keep mask comes from outside the graph. */
import { ShapeError } from "../../base/errors.js";
import { sameShape } from "../dim.js";
import type { OpDefinition, Tensor } from "../tensor.js";
import { applySingle, describe } from "../tensor.js";

interface DropoutAttributes {
  probability: number;
}

const dropoutOp: OpDefinition<DropoutAttributes> = {
  name: "Dropout",
  infer: ([x, keep]) => {
    if (keep!.dtype !== "bool" || !sameShape(x!.shape, keep!.shape)) {
      throw new ShapeError(
        `dropout: the keep mask is ${describe(keep!)}, expected bool [${x!.shape.join(", ")}]`,
      );
    }
    return [{ dtype: x!.dtype, shape: x!.shape }];
  },
  // Linear in x, and its own transpose.
  vjp: ({ inputs: [, keep], grads: [grad], attributes }) => [
    dropout(grad!, keep!, attributes.probability),
    undefined,
  ],
  // Where reads the bytes of the mask. A cast to float32 would be shared by the forward and the
  // backward pass, and hold four bytes per element from one to the other.
  onnx: (emitter, _node, [x, keep], outputs, { probability }) => {
    const kept = emitter.fresh("kept");
    emitter.node("Where", [keep!, x!, emitter.constant("float32", [], [0])], [kept]);
    const scale = emitter.constant("float32", [], [1 / (1 - probability)]);
    emitter.node("Mul", [kept, scale], outputs);
  },
};

/**
 * x / (1 - probability) where kept, else 0: the mean over random masks is x.
 * x float32, any shape; keep bool, the same shape; probability of dropping, in [0, 1).
 */
export function dropout(x: Tensor, keep: Tensor, probability: number): Tensor {
  return applySingle(dropoutOp, [x, keep], { probability });
}
