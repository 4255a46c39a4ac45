/**
 * @file PyTorch's CPU generator, so that values drawn by the reference can be drawn again:
 * MT19937 (Matsumoto and Nishimura, 1998) and ATen's transformations of its output
 * (pytorch aten/src/ATen/core/{MT19937RNGEngine,TransformationHelper}.h, native/Distributions.h).
 */
const N = 624;
const M = 397;

export interface TorchGenerator {
  /** uniform in [0, 1), float32: 24 bits of one output */
  uniform32(): number;
  /** uniform in [0, 1), float64: 53 bits of two outputs */
  uniform64(): number;
  /** torch.binomial for float64 arguments with count * min(p, 1 - p) < 10 */
  binomial(count: number, probability: number): number;
  /** torch.randint(bound, ()) for a bound below 2^32 */
  below(bound: number): number;
  /** torch.randperm(n) for small n */
  permutation(n: number): number[];
}

/** Returns the generator after `torch.manual_seed(seed)`. */
export function torchGenerator(seed: number): TorchGenerator {
  const state = new Uint32Array(N);
  state[0] = seed;
  for (let i = 1; i < N; i++) {
    const previous = state[i - 1]! ^ (state[i - 1]! >>> 30);
    state[i] = Math.imul(1812433253, previous) + i;
  }
  let next = N;
  const twist = (): void => {
    for (let i = 0; i < N; i++) {
      const y = (state[i]! & 0x80000000) | (state[(i + 1) % N]! & 0x7fffffff);
      state[i] = state[(i + M) % N]! ^ (y >>> 1) ^ (y & 1 ? 0x9908b0df : 0);
    }
    next = 0;
  };
  const uint32 = (): number => {
    if (next === N) twist();
    let y = state[next++]!;
    y ^= y >>> 11;
    y ^= (y << 7) & 0x9d2c5680;
    y ^= (y << 15) & 0xefc60000;
    y ^= y >>> 18;
    return y >>> 0;
  };
  const uniform64 = (): number => {
    const high = uint32();
    const low = uint32();
    return ((high & 0x1fffff) * 2 ** 32 + low) / 2 ** 53;
  };
  const inversion = (count: number, probability: number): number => {
    const logMiss = Math.log1p(-probability);
    let trials = 0;
    for (let successes = 0; ; successes++) {
      trials += Math.ceil(Math.log(uniform64()) / logMiss);
      if (trials > count) return successes;
    }
  };
  const below = (bound: number): number => uint32() % bound;
  return {
    below,
    permutation(n) {
      const order = Array.from({ length: n }, (_, i) => i);
      for (let i = 0; i < n - 1; i++) {
        const other = i + below(n - i);
        [order[i], order[other]] = [order[other]!, order[i]!];
      }
      return order;
    },
    uniform32: () => (uint32() & 0xffffff) / 2 ** 24,
    uniform64,
    binomial(count, probability) {
      if (count <= 0 || probability <= 0) return 0;
      if (probability >= 1) return count;
      const rare = Math.min(probability, 1 - probability);
      if (count * rare >= 10) throw new RangeError("torchGenerator: only small binomials");
      const drawn = inversion(count, rare);
      return probability <= 0.5 ? drawn : count - drawn;
    },
  };
}
