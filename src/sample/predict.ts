/**
 * @file From the logits of one masked position to its token and the confidence in it.
 * Source: ZHZisZZ/dllm@ca17675 dllm/core/samplers/{mdlm,utils}.py.
 */

/**
 * Returns the most probable id of float32 [vocab] logits; the lowest id on a tie.
 * With a temperature, Gumbel noise in float64 makes it a draw from softmax(logits / temperature):
 * lower precision distorts the distribution (arXiv:2409.02908).
 * `uniforms` gives the draw of each id, in ascending order; unused at temperature 0.
 */
export function chooseToken(
  logits: Float32Array,
  temperature: number,
  uniforms: () => number,
): number {
  let best = 0;
  let bestValue = -Infinity;
  for (let id = 0; id < logits.length; id++) {
    const value =
      temperature === 0
        ? logits[id]!
        : Math.exp(logits[id]!) / (-Math.log(uniforms())) ** temperature;
    if (value > bestValue) {
      best = id;
      bestValue = value;
    }
  }
  return best;
}

/** Returns softmax(logits)[id], rounded to the logits' own float32. */
export function tokenProbability(logits: Float32Array, id: number): number {
  let top = -Infinity;
  for (const logit of logits) if (logit > top) top = logit;
  let sum = 0;
  for (const logit of logits) sum += Math.exp(logit - top);
  return Math.fround(Math.exp(logits[id]! - top) / sum);
}

/**
 * Combines logits in place for classifier-free guidance, in float32 as the reference:
 * unconditional + (scale + 1) (conditional - unconditional).
 */
export function guideLogits(
  conditional: Float32Array,
  unconditional: Float32Array,
  scale: number,
): void {
  const factor = Math.fround(scale + 1);
  for (let i = 0; i < conditional.length; i++) {
    const base = unconditional[i]!;
    const step = Math.fround(conditional[i]! - base);
    conditional[i] = base + Math.fround(factor * step);
  }
}

/** Returns the indices of the `count` highest values, the lowest index first among equals. */
export function topIndices(values: ArrayLike<number>, count: number): number[] {
  return Array.from(values, (_, index) => index)
    .sort((a, b) => values[b]! - values[a]! || a - b)
    .slice(0, count);
}
