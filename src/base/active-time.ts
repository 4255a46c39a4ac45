/**
 * @file Timeouts in time during which this process could run: after a suspended laptop or a
 * SIGSTOP nobody has hung, and nothing may be killed for it.
 */

/** Longer pauses between two ticks than this many ticks count as one tick. */
const LATE_TICKS = 3;
const TICKS_PER_TIMEOUT = 20;
const LONGEST_TICK_MS = 1000;
const SHORTEST_TICK_MS = 10;

export interface ActiveTimer {
  /** Starts counting from zero again. */
  restart(): void;
  /** Active milliseconds counted so far. */
  elapsedMs(): number;
  cancel(): void;
}

/**
 * Calls back once after `ms` of active time; the callback may restart() it.
 * @param isCounting asked at every tick: time in which it says no does not count
 */
export function startActiveTimer(
  ms: number,
  callback: () => void,
  {
    now = () => performance.now(),
    isCounting = () => true,
  }: { now?: () => number; isCounting?: () => boolean } = {},
): ActiveTimer {
  const tickMs = Math.min(LONGEST_TICK_MS, Math.max(SHORTEST_TICK_MS, ms / TICKS_PER_TIMEOUT));
  let elapsed = 0;
  let last = now();
  let timer: NodeJS.Timeout | undefined = setInterval(tick, tickMs);

  function tick(): void {
    const at = now();
    const passed = at - last;
    last = at;
    if (isCounting()) elapsed += passed > LATE_TICKS * tickMs ? tickMs : passed;
    if (elapsed < ms) return;
    cancel();
    callback();
  }

  function cancel(): void {
    clearInterval(timer);
    timer = undefined;
  }

  return {
    restart() {
      elapsed = 0;
      last = now();
      timer ??= setInterval(tick, tickMs);
    },
    elapsedMs: () => elapsed,
    cancel,
  };
}
