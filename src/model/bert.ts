/** @file BERT: positions count from 0 along the row, whatever the tokens are. */
import { multiplyDims } from "../graph/dim.js";
import { add, cast, mul } from "../graph/ops/elementwise.js";
import { reshape } from "../graph/ops/shape.js";
import { constant, iota } from "../graph/ops/source.js";
import { bertFamily } from "./bert-encoder.js";
import { BATCH, SEQ } from "./family.js";

export const bert = bertFamily({
  modelType: "bert",
  head: {
    dense: "cls.predictions.transform.dense",
    norm: "cls.predictions.transform.LayerNorm",
    bias: "cls.predictions.bias",
  },
  positionIds: (inputIds) => {
    const row = reshape(cast(iota(SEQ), "int32"), [1, SEQ]);
    const zeros = mul(cast(inputIds, "int32"), constant([0], [], "int32"));
    return reshape(add(zeros, row), [multiplyDims(BATCH, SEQ)]);
  },
  frozenPosition: () => null,
});
