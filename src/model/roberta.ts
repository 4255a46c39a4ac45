/**
 * @file RoBERTa: positions count the non-padding tokens of the row, from padding_idx + 1;
 * padding stays at padding_idx. They follow from the ids, not from the attention mask.
 */
import { multiplyDims } from "../graph/dim.js";
import { add, cast, equal, mul, sub } from "../graph/ops/elementwise.js";
import { cumulativeSum } from "../graph/ops/reduce.js";
import { reshape } from "../graph/ops/shape.js";
import { constant } from "../graph/ops/source.js";
import { bertFamily } from "./bert-encoder.js";
import { BATCH, SEQ } from "./family.js";

export const roberta = bertFamily({
  modelType: "roberta",
  head: { dense: "lm_head.dense", norm: "lm_head.layer_norm", bias: "lm_head.bias" },
  positionIds: (inputIds, padTokenId) => {
    const isPadding = cast(equal(inputIds, constant([padTokenId], [], inputIds.dtype)), "int32");
    const counts = sub(constant([1], [], "int32"), isPadding);
    const positions = add(
      mul(cumulativeSum(counts, 1), counts),
      constant([padTokenId], [], "int32"),
    );
    return reshape(positions, [multiplyDims(BATCH, SEQ)]);
  },
  frozenPosition: (padTokenId) => padTokenId,
});
