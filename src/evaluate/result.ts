/** @file One figure of an evaluation, as `results.json` lists them, and its standard error. */

export interface EvalResult {
  /** `heldout_likelihood`, `exact_match`, or `exact_match:<skill>`. */
  task: string;
  metric: string;
  value: number;
  /** Absent where there is only one row. */
  stderr?: number;
  /** Rows behind the value. */
  n: number;
  /** What must be equal for two values to be comparable. */
  protocol: string;
}

/** Returns a mean of values with its standard error, sample deviation / sqrt(n). */
export function meanWithError(values: readonly number[]): { value: number; stderr?: number } {
  const n = values.length;
  const mean = values.reduce((sum, value) => sum + value, 0) / n;
  if (n < 2) return { value: mean };
  const squares = values.reduce((sum, value) => sum + (value - mean) ** 2, 0);
  return { value: mean, stderr: Math.sqrt(squares / (n - 1) / n) };
}

/**
 * Returns sum(numerators) / sum(denominators) with its standard error over rows, linearised
 * (the ratio estimator): long rows weigh more than short ones.
 */
export function ratioWithError(
  numerators: ArrayLike<number>,
  denominators: ArrayLike<number>,
): { value: number; stderr?: number } {
  const n = numerators.length;
  let numerator = 0;
  let denominator = 0;
  for (let i = 0; i < n; i++) {
    numerator += numerators[i]!;
    denominator += denominators[i]!;
  }
  const value = numerator / denominator;
  if (n < 2) return { value };
  let squares = 0;
  for (let i = 0; i < n; i++) squares += (numerators[i]! - value * denominators[i]!) ** 2;
  return { value, stderr: Math.sqrt((squares * n) / (n - 1)) / denominator };
}

/**
 * Returns the indices of the rows to evaluate: all for a limit of -1, else at most `limit`,
 * evenly spread, so that a file sorted by skill is still covered.
 */
export function selectRows(total: number, limit: number): number[] {
  const count = limit < 0 ? total : Math.min(limit, total);
  return Array.from({ length: count }, (_, i) => Math.floor((i * total) / count));
}
