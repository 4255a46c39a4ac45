/**
 * @file Pieces of multi-head self-attention shared by the model families: additive masks and
 * scaled dot-product attention over [batch, heads, seq, headDim].
 */
import type { Dim } from "../graph/dim.js";
import type { Tensor } from "../graph/tensor.js";
import { abs, add, equal, greater, mul, sub, where } from "../graph/ops/elementwise.js";
import { matmul } from "../graph/ops/linear.js";
import { softmax } from "../graph/ops/normalisation.js";
import { reshape } from "../graph/ops/shape.js";
import { constant, filled, iota, scalar } from "../graph/ops/source.js";
import { windowsOf, type Windows } from "../graph/ops/window-attention.js";
import { BATCH, SEQ } from "./family.js";

/**
 * The float32 minimum rather than -infinity, as in the reference: a query whose keys are all
 * hidden averages them uniformly instead of giving NaN.
 */
const HIDDEN = -3.4028234663852886e38;

/** Additive mask float32 [batch, 1, 1, seq] of attentionMask int32 [batch, seq]: 0 where it is 1. */
export function keyMask(attentionMask: Tensor): Tensor {
  const hidden = equal(attentionMask, constant([0], [], attentionMask.dtype));
  return reshape(where(hidden, scalar(HIDDEN), scalar(0)), [BATCH, 1, 1, SEQ]);
}

/** Additive mask float32 [seq, seq] of sliding-window attention: 0 where |i - j| <= reach. */
export function windowMask(reach: number): Tensor {
  return bandMask({ queries: SEQ, keys: SEQ, reach, lead: 0 });
}

/** The same windows for attention in blocks, over the keys that the attention mask shows. */
export function windowBlocks(reach: number, attentionMask: Tensor | undefined): Windows {
  const keys = attentionMask ? keyMask(attentionMask) : filled([1, 1, 1, SEQ], 0);
  const band = bandMask({ queries: 2 * reach, keys: 4 * reach, reach, lead: reach });
  return windowsOf(keys, band, { reach, hidden: HIDDEN });
}

/** float32 [queries, keys]: 0 where |query - key| <= reach; the keys begin `lead` before the queries. */
function bandMask({
  queries,
  keys,
  reach,
  lead,
}: {
  queries: Dim;
  keys: Dim;
  reach: number;
  lead: number;
}): Tensor {
  const column = add(reshape(iota(queries), [queries, 1]), scalar(lead));
  const distance = abs(sub(column, reshape(iota(keys), [1, keys])));
  return where(greater(distance, scalar(reach)), scalar(HIDDEN), scalar(0));
}

/**
 * drop(softmax(q k^T / sqrt(headDim) + mask)) v.
 * q, k, v float32 [batch, heads, seq, headDim]; mask broadcastable to [batch, heads, seq, seq];
 * drop is applied to the probabilities, float32 [batch, heads, seq, seq].
 */
export function attend(
  q: Tensor,
  k: Tensor,
  v: Tensor,
  mask: Tensor | undefined,
  drop: (probabilities: Tensor) => Tensor,
): Tensor {
  const headDim = q.shape.at(-1) as number;
  const scores = matmul(mul(q, scalar(1 / Math.sqrt(headDim))), k, { transposeB: true });
  return matmul(drop(softmax(mask === undefined ? scores : add(scores, mask))), v);
}
