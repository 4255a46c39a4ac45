/**
 * @file Counter-based randomness in bulk, for masks of millions of draws: the key stream of AES-128
 * in counter mode, which the processor computes at gigabytes per second. As in random.ts, every
 * draw is a pure function of its key and its number. AES as a counter-based generator: Salmon et
 * al., "Parallel random numbers: as easy as 1, 2, 3", SC'11.
 */
import { createCipheriv } from "node:crypto";
import { purposes, type StreamKey } from "./random.js";

let zeros = new Uint8Array(0);

const high = (value: number): number => Math.floor(value / 2 ** 32);

function bigEndian(...words: number[]): Buffer {
  const bytes = Buffer.alloc(4 * words.length);
  words.forEach((word, i) => bytes.writeUInt32BE(word >>> 0, 4 * i));
  return bytes;
}

/**
 * Returns the first draws of a stream, each uniform in [0, 65535]: uint16 [count], owned by the
 * caller. A shorter call returns a prefix of a longer one.
 * @param part number of the stream among those of one key, below 2^32
 */
export function randomWords(
  { seed, purpose, epoch = 0, sample = 0 }: StreamKey,
  part: number,
  count: number,
): Uint16Array {
  if (zeros.length < 2 * count) zeros = new Uint8Array(2 * count);
  const key = bigEndian(seed, high(seed), high(sample), 0);
  // The last word counts blocks of 16 bytes.
  const counter = bigEndian((epoch & 0xffffff) | (purposes[purpose] << 24), sample, part, 0);
  const stream = createCipheriv("aes-128-ctr", key, counter).update(zeros.subarray(0, 2 * count));
  return new Uint16Array(stream.buffer, stream.byteOffset, count);
}
