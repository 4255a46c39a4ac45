/**
 * @file Asking the executor of a run to stop. The lock names it; it is signalled only if the
 * process of that number is certainly the one that took the lock.
 */
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { DllmError, ExitCode, errorCode } from "../base/errors.js";
import { describeHolder, lockHolder, type LockHolder } from "../base/lock.js";
import { processState } from "../base/process-identity.js";

const POLL_MS = 50;
// After QUIT an executor only ends its stages.
const KILL_MS = 10_000;

export interface CancelOptions {
  directory: string;
  /** End the stages at once; they resume at their newest checkpoint. */
  kill: boolean;
  /** How long to wait for the end. */
  timeoutMs: number;
  onSignal: (holder: LockHolder, signal: NodeJS.Signals) => void;
}

/**
 * Stops the executor of a run and returns when it is gone; false when none was running.
 * @throws DllmError 69 when it is on another host, 77 when it belongs to another user, 75 when it
 * has not ended in time
 */
export async function cancelRun(options: CancelOptions): Promise<boolean> {
  const { directory, kill, timeoutMs, onSignal } = options;
  const holder = lockHolder(join(directory, "run.lock"));
  if (holder === undefined) return false;
  if (processState(holder) === "unknown") {
    throw new DllmError(`${directory} is run by ${describeHolder(holder)}`, {
      exitCode: ExitCode.unavailable,
      details: [`a process can only be stopped on its own host: run the command on ${holder.host}`],
    });
  }
  const end = async (signal: NodeJS.Signals, withinMs: number): Promise<boolean> => {
    if (!sendSignal(holder, signal)) return true;
    onSignal(holder, signal);
    const deadline = performance.now() + withinMs;
    while (processState(holder) === "alive") {
      if (performance.now() >= deadline) return false;
      await delay(POLL_MS);
    }
    return true;
  };
  if (!kill && (await end("SIGTERM", timeoutMs))) return true;
  if (kill && ((await end("SIGQUIT", KILL_MS)) || (await end("SIGKILL", timeoutMs)))) return true;
  throw new DllmError(`${directory} is still being stopped: ${describeHolder(holder)}`, {
    exitCode: ExitCode.temporary,
    details: ["its stages save their checkpoints; wait, or end it with: dllm cancel --kill"],
  });
}

/** Signals the holder if it is still that process; false when it is gone. */
function sendSignal(holder: LockHolder, signal: NodeJS.Signals): boolean {
  if (processState(holder) !== "alive") return false;
  try {
    process.kill(holder.pid, signal);
    return true;
  } catch (error) {
    if (errorCode(error) === "ESRCH") return false;
    throw new DllmError(`cannot stop ${describeHolder(holder)}`, {
      exitCode: ExitCode.noPermission,
      details: ["it belongs to another user"],
      cause: error,
    });
  }
}
