/**
 * @file Length-grouped order, so that rows of one batch need little padding.
 * Source: huggingface/transformers v4.57 trainer_pt_utils.py get_length_grouped_indices.
 */

/**
 * Returns a permutation cut into megabatches, each sorted by length, longest first; the longest
 * row of all comes first, so that running out of memory happens at once.
 *
 * - lengths         uint32 [rows]
 * - megabatchBase   rows per optimizer step of one device: batch × accumulation
 * - permutation     int32 [rows], the random order to start from; not modified
 *
 * @returns int32 [rows]
 */
export function lengthGroupedOrder(
  lengths: ArrayLike<number>,
  megabatchBase: number,
  permutation: Int32Array,
): Int32Array {
  const rows = permutation.length;
  if (rows === 0) return new Int32Array(0);
  const multiplier = Math.min(Math.floor(rows / (megabatchBase * 4)), 50) || 1;
  const size = multiplier * megabatchBase;
  const order = permutation.slice();
  let longest = 0;
  for (let start = 0; start < rows; start += size) {
    // Typed arrays sort stably, as Python's sorted() does: equal lengths keep the random order.
    const megabatch = order.subarray(start, start + size);
    megabatch.sort((a, b) => lengths[b]! - lengths[a]!);
    if (lengths[megabatch[0]!]! > lengths[order[longest]!]!) longest = start;
  }
  const first = order[0]!;
  order[0] = order[longest]!;
  order[longest] = first;
  return order;
}
