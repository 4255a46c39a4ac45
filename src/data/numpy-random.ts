/**
 * @file numpy's default generator, so that splits are those of Hugging Face datasets.
 * Sources: numpy/random/bit_generator.pyx (SeedSequence), src/pcg64 (PCG XSL-RR 128/64),
 * src/distributions (random_interval), _generator.pyx (permutation).
 */

const POOL_SIZE = 4;

const xorShift16 = (value: number): number => (value ^ (value >>> 16)) >>> 0;

/** SeedSequence(seed).generate_state(words), uint32 [words]. */
function seedWords(seed: number, words: number): Uint32Array {
  const entropy = [seed >>> 0];
  for (let rest = Math.floor(seed / 2 ** 32); rest > 0; rest = Math.floor(rest / 2 ** 32)) {
    entropy.push(rest >>> 0);
  }
  let constant = 0x43b0d7e5;
  const hash = (value: number): number => {
    value ^= constant;
    constant = Math.imul(constant, 0x931e8875);
    return xorShift16(Math.imul(value, constant));
  };
  const mix = (x: number, y: number): number =>
    xorShift16(Math.imul(0xca01f9dd, x) - Math.imul(0x4973f715, y));
  const pool = Array.from({ length: POOL_SIZE }, (_, i) => hash(entropy[i] ?? 0));
  for (let from = 0; from < POOL_SIZE; from++) {
    for (let to = 0; to < POOL_SIZE; to++) {
      if (from !== to) pool[to] = mix(pool[to]!, hash(pool[from]!));
    }
  }
  constant = 0x8b51f9dd;
  return Uint32Array.from({ length: words }, (_, i) => {
    const value = pool[i % POOL_SIZE]! ^ constant;
    constant = Math.imul(constant, 0x58f38ded);
    return xorShift16(Math.imul(value, constant));
  });
}

const MASK_64 = (1n << 64n) - 1n;
const MASK_128 = (1n << 128n) - 1n;
const MULTIPLIER = 0x2360ed051fc65da44385df649fccf645n;

/** Returns the stream of 32-bit draws of numpy.random.default_rng(seed). */
function pcg64(seed: number): () => number {
  const words = seedWords(seed, 8);
  const word128 = (at: number): bigint =>
    (BigInt(words[at + 1]!) << 96n) |
    (BigInt(words[at]!) << 64n) |
    (BigInt(words[at + 3]!) << 32n) |
    BigInt(words[at + 2]!);
  const increment = ((word128(4) << 1n) | 1n) & MASK_128;
  const step = (value: bigint): bigint => (value * MULTIPLIER + increment) & MASK_128;
  let state = step((step(0n) + word128(0)) & MASK_128);
  let spare: number | undefined;
  return () => {
    if (spare !== undefined) {
      const high = spare;
      spare = undefined;
      return high;
    }
    state = step(state);
    const folded = ((state >> 64n) ^ state) & MASK_64;
    const rotation = state >> 122n;
    const word = ((folded >> rotation) | (folded << ((64n - rotation) & 63n))) & MASK_64;
    spare = Number(word >> 32n);
    return Number(word & 0xffffffffn);
  };
}

/** Returns numpy.random.default_rng(seed).permutation(n), int32 [n]; n below 2^32. */
export function numpyPermutation(n: number, seed: number): Int32Array {
  const next = pcg64(seed);
  // Masked rejection: the lowest bits that can hold the bound, drawn until they do not exceed it.
  const upTo = (greatest: number): number => {
    const mask = 2 ** (32 - Math.clz32(greatest)) - 1;
    for (;;) {
      const value = (next() & mask) >>> 0;
      if (value <= greatest) return value;
    }
  };
  const order = Int32Array.from({ length: n }, (_, i) => i);
  for (let i = n - 1; i > 0; i--) {
    const j = upTo(i);
    const swapped = order[i]!;
    order[i] = order[j]!;
    order[j] = swapped;
  }
  return order;
}
