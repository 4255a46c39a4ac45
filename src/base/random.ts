/**
 * @file Counter-based randomness: draw number i of a stream is a pure function of
 * (seed, purpose, epoch, sample, i), so a sample's masks do not depend on the batch it fell
 * in, on accumulation, on the device, or on a resume.
 * Generator: Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC'11).
 */

const MULTIPLIER_0 = 0xd2511f53;
const MULTIPLIER_1 = 0xcd9e8d57;
const WEYL_0 = 0x9e3779b9;
const WEYL_1 = 0xbb67ae85;

/** High 32 bits of the 64-bit product of two unsigned 32-bit integers. */
function multiplyHigh(a: number, b: number): number {
  const aLow = a & 0xffff;
  const aHigh = a >>> 16;
  const bLow = b & 0xffff;
  const bHigh = b >>> 16;
  const low = aLow * bLow;
  const middle1 = aHigh * bLow + (low >>> 16);
  const middle2 = aLow * bHigh + (middle1 & 0xffff);
  return (aHigh * bHigh + Math.floor(middle1 / 65536) + Math.floor(middle2 / 65536)) >>> 0;
}

/** One Philox4x32-10 block: 4 counter words and 2 key words to 4 random words. */
export function philox4x32(
  counter: readonly [number, number, number, number],
  key: readonly [number, number],
): [number, number, number, number] {
  let [c0, c1, c2, c3] = counter;
  let [k0, k1] = key;
  for (let round = 0; round < 10; round++) {
    const high0 = multiplyHigh(MULTIPLIER_0, c0);
    const low0 = Math.imul(MULTIPLIER_0, c0) >>> 0;
    const high1 = multiplyHigh(MULTIPLIER_1, c2);
    const low1 = Math.imul(MULTIPLIER_1, c2) >>> 0;
    c0 = (high1 ^ c1 ^ k0) >>> 0;
    c1 = low1;
    c2 = (high0 ^ c3 ^ k1) >>> 0;
    c3 = low0;
    k0 = (k0 + WEYL_0) >>> 0;
    k1 = (k1 + WEYL_1) >>> 0;
  }
  return [c0, c1, c2, c3];
}

/** What a stream is for; streams of different purposes never share a draw. */
export const purposes = {
  timestep: 1,
  mask: 2,
  order: 3,
  initialisation: 4,
  sampling: 5,
  remasking: 6,
  evaluation: 7,
  evaluationMask: 10,
  dropout: 8,
  split: 9,
  likelihood: 11,
  likelihoodMask: 12,
  sweep: 13,
  shuffle: 14,
} as const;
export type Purpose = keyof typeof purposes;

export interface StreamKey {
  seed: number;
  purpose: Purpose;
  /** Epoch, sampler call or tensor number: the coarse index. Default 0. */
  epoch?: number;
  /** Sample or row number inside the epoch: the fine index. Default 0. */
  sample?: number;
}

export interface RandomStream {
  /** The next draw, an unsigned 32-bit integer. */
  uint32(): number;
  /** The next draw in [0, 1), exactly representable in float32 (24 bits). */
  uniform(): number;
  /** The next draw in [0, 1) with 53 bits (takes two 32-bit draws). */
  uniform64(): number;
  /** The next standard normal draw (Box-Muller, takes four 32-bit draws). */
  normal(): number;
  /** The next integer in [0, bound), without modulo bias. */
  below(bound: number): number;
}

/** Returns the random stream of a key. Creating one costs nothing; streams are independent. */
export function randomStream({ seed, purpose, epoch = 0, sample = 0 }: StreamKey): RandomStream {
  const key: [number, number] = [seed >>> 0, Math.floor(seed / 2 ** 32) >>> 0];
  const epochWord = ((epoch & 0xffffff) | (purposes[purpose] << 24)) >>> 0;
  let block = 0;
  let words: readonly number[] = [];
  let next = 4;
  const uint32 = (): number => {
    if (next === 4) {
      const counter: [number, number, number, number] = [
        block >>> 0,
        Math.floor(sample / 2 ** 32) >>> 0,
        sample >>> 0,
        epochWord,
      ];
      words = philox4x32(counter, key);
      block++;
      next = 0;
    }
    return words[next++]!;
  };
  const uniform64 = (): number => ((uint32() >>> 5) * 2 ** 26 + (uint32() >>> 6)) / 2 ** 53;
  return {
    uint32,
    uniform: () => (uint32() >>> 8) / 2 ** 24,
    uniform64,
    normal: () => Math.sqrt(-2 * Math.log(1 - uniform64())) * Math.cos(2 * Math.PI * uniform64()),
    below(bound) {
      const limit = 2 ** 32 - (2 ** 32 % bound);
      for (;;) {
        const draw = uint32();
        if (draw < limit) return draw % bound;
      }
    },
  };
}

/** Returns a random permutation of 0..n-1 (Fisher-Yates), int32 [n]. */
export function randomPermutation(n: number, key: StreamKey): Int32Array {
  const stream = randomStream(key);
  const order = Int32Array.from({ length: n }, (_, i) => i);
  for (let i = n - 1; i > 0; i--) {
    const j = stream.below(i + 1);
    const swapped = order[i]!;
    order[i] = order[j]!;
    order[j] = swapped;
  }
  return order;
}
