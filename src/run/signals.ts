/**
 * @file Signals to the executor: the first INT, TERM or HUP asks to stop (stages checkpoint and
 * end), the second, or QUIT, to end at once; USR1 asks how far it is, USR2 to save and go on.
 */
const stopping = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
const ending = [...stopping, "SIGQUIT"] as const;

export interface SignalRequests {
  readonly stop: AbortSignal;
  readonly kill: AbortSignal;
  /** Calls back whenever a checkpoint is asked for. @returns how to end that */
  onCheckpointRequest(listener: () => void): () => void;
  /** Calls back whenever the status is asked for. @returns how to end that */
  onStatusRequest(listener: () => void): () => void;
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
  const onEnding = (signal: NodeJS.Signals): void => {
    const again = first !== undefined;
    first ??= signal;
    if (again || signal === "SIGQUIT") kill.abort(signal);
    else stop.abort(signal);
  };
  const checkpoint = new Set<() => void>();
  const status = new Set<() => void>();
  const onAsking = (signal: NodeJS.Signals): void => {
    for (const listener of signal === "SIGUSR1" ? status : checkpoint) listener();
  };
  const register = (listeners: Set<() => void>) => (listener: () => void) => {
    listeners.add(listener);
    return () => void listeners.delete(listener);
  };
  const asking = ["SIGUSR1", "SIGUSR2"] as const;
  for (const signal of ending) process.on(signal, onEnding);
  for (const signal of asking) process.on(signal, onAsking);
  return {
    stop: stop.signal,
    kill: kill.signal,
    onCheckpointRequest: register(checkpoint),
    onStatusRequest: register(status),
    received: () => first,
    dispose() {
      for (const signal of ending) process.off(signal, onEnding);
      for (const signal of asking) process.off(signal, onAsking);
    },
  };
}

/** Ends this process by a signal, so that its parent sees how it ended. */
export function endBySignal(signal: NodeJS.Signals): void {
  process.removeAllListeners(signal);
  process.kill(process.pid, signal);
}
