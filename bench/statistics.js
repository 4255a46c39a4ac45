/** @file Medians and spreads. */

export const quantile = (values, q) => {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))];
};
export const median = (values) => quantile(values, 0.5);
export const round = (value) => Math.round(value * 100) / 100;

export function summarise(values) {
  return {
    median: round(median(values)),
    low: round(quantile(values, 0.1)),
    high: round(quantile(values, 0.9)),
  };
}

/** Ratio of one side to another: the median over turns of the ratio of each turn's medians. */
export function pairedRatio(slower, faster) {
  const ratios = slower.turns.map((turn, i) => median(turn) / median(faster.turns[i]));
  return {
    median: round(median(ratios)),
    low: round(Math.min(...ratios)),
    high: round(Math.max(...ratios)),
  };
}
