/**
 * @file The random draws of the likelihood estimator, as arguments: by default counter-based
 * streams, so that a request's estimate does not depend on the requests around it.
 */
import { randomPermutation, randomStream } from "../base/random.js";

/**
 * Asked request by request, in order; of each request iteration by iteration: the mask count,
 * then the permutation of each of the iteration's copies. Copies are numbered through a request.
 */
export interface LikelihoodNoise {
  /** Uniform in 1..n: the mask count that an iteration's strata start from. */
  maskCount(request: number, iteration: number, n: number): number;
  /** A uniformly random permutation of 0..n-1. */
  permutation(request: number, copy: number, n: number): ArrayLike<number>;
}

export interface SeededLikelihoodNoiseOptions {
  seed: number;
  /**
   * What identifies each request beyond this list; by default its place. Requests of one id and
   * equal target lengths are masked alike.
   */
  requestIds?: ArrayLike<number>;
}

/** Returns counter-based noise: a pure function of (seed, request id, iteration or copy). */
export function seededLikelihoodNoise({
  seed,
  requestIds,
}: SeededLikelihoodNoiseOptions): LikelihoodNoise {
  const idOf = (request: number): number => requestIds?.[request] ?? request;
  return {
    maskCount(request, iteration, n) {
      const sample = idOf(request);
      return 1 + randomStream({ seed, purpose: "likelihood", epoch: iteration, sample }).below(n);
    },
    permutation(request, copy, n) {
      const sample = idOf(request);
      return randomPermutation(n, { seed, purpose: "likelihoodMask", epoch: copy, sample });
    },
  };
}
