/**
 * @file Where a forward pass drops elements during training. The forward pass names its places;
 * in training every place becomes a graph input for its keep mask, elsewhere nothing.
 */
import { ShapeError } from "../base/errors.js";
import { multiplyDims, sameShape, type Shape } from "../graph/dim.js";
import { dropout } from "../graph/ops/dropout.js";
import { input } from "../graph/ops/source.js";
import { describe, type Tensor } from "../graph/tensor.js";
import { BATCH, SEQ } from "./family.js";

/**
 * Returns x with elements dropped with a probability at a place that no other call names.
 * x float32 [batch*seq, width] or [batch, heads, seq, seq].
 */
export type Dropout = (x: Tensor, place: string, probability: number) => Tensor;

export const noDropout: Dropout = (x) => x;

/** Returns the dropout of a forward pass: none where all its probabilities are 0. */
export function effectiveDropout(asked: Dropout, ...probabilities: readonly number[]): Dropout {
  return probabilities.some((probability) => probability > 0) ? asked : noDropout;
}

/** One keep mask of a graph. */
export interface DropoutSite {
  /** Name of the graph input: bool, 1 where an element is kept. */
  input: string;
  /** Probability that an element is dropped, above 0. */
  probability: number;
  /** Features of every token, [batch*seq, width], or attention, [batch, heads, seq, seq]. */
  over: { kind: "features"; width: number } | { kind: "attention"; heads: number };
}

function coverage(x: Tensor): DropoutSite["over"] {
  const [, size] = x.shape;
  const is = (...shape: Shape): boolean => sameShape(x.shape, shape);
  if (typeof size === "number") {
    if (is(multiplyDims(BATCH, SEQ), size)) return { kind: "features", width: size };
    if (is(BATCH, size, SEQ, SEQ)) return { kind: "attention", heads: size };
  }
  throw new ShapeError(`dropout of ${describe(x)}: neither features of tokens nor attention`);
}

/**
 * Returns the dropout of one training graph, and the sites that it has collected once the forward
 * pass is built, in its order. A probability of 0 adds neither a node nor an input.
 */
export function collectDropout(): { dropout: Dropout; sites: readonly DropoutSite[] } {
  const sites: DropoutSite[] = [];
  return {
    sites,
    dropout(x, place, probability) {
      if (probability === 0) return x;
      const name = `keep.${place}`;
      sites.push({ input: name, probability, over: coverage(x) });
      return dropout(x, input(name, "bool", x.shape), probability);
    },
  };
}
