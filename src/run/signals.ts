/**
 * @file Signals to the executor, as two abort signals: the first INT, TERM or HUP asks to stop
 * (stages checkpoint and end), the second, or QUIT, to end at once.
 */
const stopping = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
const all = [...stopping, "SIGQUIT"] as const;

export interface SignalRequests {
  readonly stop: AbortSignal;
  readonly kill: AbortSignal;
  /** The first signal that came. */
  received(): NodeJS.Signals | undefined;
  /** Restores the default behaviour of the signals. */
  dispose(): void;
}

/** Takes over the signals of this process until dispose(). */
export function listenForSignals(): SignalRequests {
  const stop = new AbortController();
  const kill = new AbortController();
  let first: NodeJS.Signals | undefined;
  const onSignal = (signal: NodeJS.Signals): void => {
    const again = first !== undefined;
    first ??= signal;
    if (again || signal === "SIGQUIT") kill.abort(signal);
    else stop.abort(signal);
  };
  for (const signal of all) process.on(signal, onSignal);
  return {
    stop: stop.signal,
    kill: kill.signal,
    received: () => first,
    dispose() {
      for (const signal of all) process.off(signal, onSignal);
    },
  };
}

/** Ends this process by a signal, so that its parent sees how it ended. */
export function endBySignal(signal: NodeJS.Signals): void {
  process.removeAllListeners(signal);
  process.kill(process.pid, signal);
}
