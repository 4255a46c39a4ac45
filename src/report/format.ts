/** @file Numbers, durations and sizes as people read them. */

/** Returns a number with about four significant digits: `2.317`, `0.0003`, `1.2e-7`, `12,345`. */
export function formatNumber(value: number): string {
  if (!Number.isFinite(value)) return String(value);
  const size = Math.abs(value);
  if (value === 0) return "0";
  if (Number.isInteger(value) && size < 1e15) return value.toLocaleString("en-US");
  if (size >= 10_000) return Math.round(value).toLocaleString("en-US");
  if (size < 1e-4) return value.toExponential(2).replace(/\.?0+e/, "e");
  return String(Number(value.toPrecision(4)));
}

/** Returns seconds as `0.4 s`, `48 s`, `3 min 07 s` or `2 h 05 min`. */
export function formatDuration(seconds: number): string {
  if (seconds < 9.95) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  const pad = (value: number) => String(value).padStart(2, "0");
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${pad(whole % 60)} s`;
  return `${Math.floor(whole / 3600)} h ${pad(Math.floor((whole % 3600) / 60))} min`;
}

/** Returns a size with a binary unit: `812 MiB`, `1.6 GiB`. */
export function formatBytes(bytes: number): string {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit++;
  }
  return `${value < 10 && unit > 0 ? value.toFixed(1) : Math.round(value)} ${units[unit]}`;
}

/** Whether a metric is a share of right answers, shown in percent. */
export function isShare(metric: string): boolean {
  return /^(acc|accuracy|exact_match)\b/.test(metric);
}

/** Whether smaller values of a metric are better. */
export function isLowerBetter(metric: string): boolean {
  return /(^|_)(nll|ppl|loss|perplexity|bits_per_byte|word_perplexity)$/.test(metric);
}

/** Returns the value of a metric: shares as `93.5 %`. */
export function formatMetric(metric: string, value: number): string {
  if (isShare(metric) && Math.abs(value) <= 1) return `${(100 * value).toFixed(1)} %`;
  return formatNumber(value);
}
