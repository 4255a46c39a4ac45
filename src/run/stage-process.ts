/**
 * @file Starting and stopping the process of a stage. It runs in a session of its own, so that
 * the terminal's Ctrl-C reaches only the executor; its output goes straight to a file, so that
 * neither a full pipe nor a dead executor can block it; and the IPC channel carries its reports
 * and is its lifeline.
 */
import { closeSync, openSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { execa } from "execa";
import { errorMessage } from "../base/errors.js";
import { ioError } from "../base/fs.js";
import { stageFiles, type StageMessage } from "../plan/stage-files.js";

export type ChildExit =
  | { how: "exited"; code: number }
  | { how: "killed"; signal: string }
  | { how: "not-started"; problem: string };

export interface StageProcess {
  /** Undefined when it could not be started. */
  readonly pid: number | undefined;
  readonly exited: Promise<ChildExit>;
  /** Asks it (and its children) to checkpoint and end. */
  terminate(): void;
  /** Ends it and its children at once. */
  kill(): void;
}

const CHANNEL_DRAIN_MS = 1000;

export function startStageProcess({
  script,
  workingDirectory,
  onMessage,
}: {
  /** Absolute path of the stage process's main module. */
  script: string;
  workingDirectory: string;
  onMessage: (message: StageMessage) => void;
}): StageProcess {
  const logPath = join(workingDirectory, stageFiles.log);
  let log: number;
  try {
    log = openSync(logPath, "a", 0o600);
  } catch (error) {
    throw ioError("open", logPath, error);
  }
  const child = execa(process.execPath, [script, workingDirectory], {
    detached: true,
    stdin: "ignore",
    // Descriptors, not { file }: those would be pipes that the executor has to empty.
    // (Its types know only 3 to 9; any open descriptor is passed on as it is.)
    stdout: log as 3,
    stderr: log as 3,
    ipc: true,
    serialization: "json",
    buffer: false,
    reject: false,
  });
  closeSync(log);
  child.on("message", (message) => onMessage(message as unknown as StageMessage));

  const signalGroup = (signal: NodeJS.Signals): void => {
    if (child.pid === undefined) return;
    try {
      process.kill(-child.pid, signal);
    } catch {
      // Nobody of the group is left.
    }
  };
  const disconnected = new Promise<void>((resolve) => child.once("disconnect", resolve));
  const exited = child.then(async (result): Promise<ChildExit> => {
    // What the stage left running must not outlive it.
    signalGroup("SIGKILL");
    // Its last reports may still be in the channel.
    if (child.connected) await Promise.race([disconnected, delay(CHANNEL_DRAIN_MS)]);
    if (result.signal !== undefined) return { how: "killed", signal: result.signal };
    if (result.exitCode !== undefined) return { how: "exited", code: result.exitCode };
    return { how: "not-started", problem: errorMessage(result.cause ?? result) };
  });
  return {
    pid: child.pid,
    exited,
    terminate: () => signalGroup("SIGTERM"),
    kill: () => signalGroup("SIGKILL"),
  };
}
