/**
 * @file Weighted interleaving of datasets: at each step a source is drawn by its weight and gives
 * its next row. As `interleave_datasets` of Hugging Face datasets, with counter-based draws.
 */
import { randomStream } from "../base/random.js";

/** When a mix ends: with the first source that has no row left, or when all were seen whole. */
export type StoppingRule = "first_exhausted" | "all_exhausted";

/**
 * Returns the rows of the sources, interleaved by weight. Sources that run out before the end
 * start again at their first row.
 */
export function interleave<Row>(
  sources: readonly { rows: readonly Row[]; weight: number }[],
  { stopping, seed, split }: { stopping: StoppingRule; seed: number; split: number },
): Row[] {
  const drawn = sources.filter(({ rows }) => rows.length > 0);
  if (drawn.length === 0) return [];
  const total = drawn.reduce((sum, { weight }) => sum + weight, 0);
  const stream = randomStream({ seed, purpose: "split", epoch: split });
  const next = drawn.map(() => 0);
  const isExhausted = drawn.map(() => false);
  const mixed: Row[] = [];
  for (;;) {
    let rest = stream.uniform64() * total;
    let index = 0;
    while (index < drawn.length - 1 && rest >= drawn[index]!.weight) {
      rest -= drawn[index]!.weight;
      index++;
    }
    const { rows } = drawn[index]!;
    mixed.push(rows[next[index]! % rows.length]!);
    next[index]!++;
    if (next[index] === rows.length) isExhausted[index] = true;
    if (stopping === "first_exhausted" ? isExhausted.some(Boolean) : isExhausted.every(Boolean)) {
      return mixed;
    }
  }
}
