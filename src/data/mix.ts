/**
 * @file Weighted interleaving of datasets: at each step a source is drawn by its weight and gives
 * its next row. As `interleave_datasets` of Hugging Face datasets, with counter-based draws.
 */
import { DllmError, ExitCode } from "../base/errors.js";
import { randomStream } from "../base/random.js";

/** When a mix ends: with the first source that has no row left, or when all were seen whole. */
export type StoppingRule = "first_exhausted" | "all_exhausted";

export interface DrawOptions {
  stopping: StoppingRule;
  seed: number;
  /** Number of the split. */
  split: number;
  /** How many mixes of a stream came before; 0 is the mix that is prepared. */
  pass?: number;
  /** Where a mix goes on: the draws before, and which sources have been exhausted. */
  from?: { draws: number; exhausted: readonly boolean[] };
}

/** Which source of a mix gives the next row. */
export interface SourceDraws {
  /** The number of a source. */
  next(): number;
  /** Notes that a source has given its last row. */
  exhaust(source: number): void;
  isOver(): boolean;
}

/** Returns the draws of sources that have rows; those that run out give their first one again. */
export function sourceDraws(
  weights: readonly number[],
  { stopping, seed, split, pass = 0, from }: DrawOptions,
): SourceDraws {
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  const stream = randomStream({ seed, purpose: "split", epoch: split, sample: pass });
  for (let draw = 0; draw < (from?.draws ?? 0); draw++) stream.uniform64();
  const exhausted = weights.map((_, source) => from?.exhausted[source] ?? false);
  return {
    next() {
      let rest = stream.uniform64() * total;
      let source = 0;
      while (source < weights.length - 1 && rest >= weights[source]!) {
        rest -= weights[source]!;
        source++;
      }
      return source;
    },
    exhaust: (source) => void (exhausted[source] = true),
    isOver: () =>
      stopping === "first_exhausted" ? exhausted.some(Boolean) : exhausted.every(Boolean),
  };
}

/**
 * Returns the rows of the sources, interleaved by weight. Sources that run out before the end
 * start again at their first row.
 */
export function interleave<Row>(
  sources: readonly { rows: readonly Row[]; weight: number }[],
  options: Pick<DrawOptions, "stopping" | "seed" | "split">,
): Row[] {
  const drawn = sources.filter(({ rows }) => rows.length > 0);
  const draws = sourceDraws(
    drawn.map(({ weight }) => weight),
    options,
  );
  const next = drawn.map(() => 0);
  const mixed: Row[] = [];
  while (drawn.length > 0 && !draws.isOver()) {
    const source = draws.next();
    const { rows } = drawn[source]!;
    mixed.push(rows[next[source]! % rows.length]!);
    next[source]!++;
    if (next[source] === rows.length) draws.exhaust(source);
  }
  return mixed;
}

/**
 * Returns the weights of a mix; undefined when its datasets are joined one after another.
 * @throws DllmError 65 when some have a weight and others have none
 */
export function weightsOf(
  sources: readonly { name: string; weight?: number }[],
): number[] | undefined {
  const without = sources.find(({ weight }) => weight === undefined);
  if (without === undefined) return sources.map(({ weight }) => weight!);
  if (sources.every(({ weight }) => weight === undefined)) return undefined;
  throw new DllmError(`dataset "${without.name}" has no weight, and others of the mix have one`, {
    exitCode: ExitCode.invalidInput,
    details: ["give every dataset a weight to interleave them, or none to join them"],
  });
}
