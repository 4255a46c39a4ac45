/** @file The graph inputs of a forward pass, with their names; parameters under their own names. */
import { input } from "../graph/ops/source.js";
import type { Tensor } from "../graph/tensor.js";
import type { Architecture } from "./registry.js";
import type { ForwardInputs } from "./family.js";
import { BATCH, MASKED, SEQ } from "./family.js";

export const inputNames = {
  inputIds: "input_ids",
  attentionMask: "attention_mask",
  positions: "positions",
} as const;

/** Returns fresh graph inputs for a forward pass of the architecture. */
export function forwardInputs(
  { family, config }: Architecture,
  { withAttentionMask }: { withAttentionMask: boolean },
): ForwardInputs {
  return {
    inputIds: input(inputNames.inputIds, "int32", [BATCH, SEQ]),
    ...(withAttentionMask && {
      attentionMask: input(inputNames.attentionMask, "int32", [BATCH, SEQ]),
    }),
    positions: input(inputNames.positions, "int32", [MASKED]),
    parameters: new Map<string, Tensor>(
      family
        .parameters(config)
        .map(({ name, shape }) => [name, input(name, "float32", [...shape])]),
    ),
  };
}
