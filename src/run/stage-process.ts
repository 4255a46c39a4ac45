/**
 * @file Starting and stopping the process of a stage. It runs in a session of its own, so that
 * the terminal's Ctrl-C reaches only the executor; its output goes straight to a file, so that
 * neither a full pipe nor a dead executor can block it; the IPC channel carries its reports and
 * is its lifeline, and where setpriv(1) is there the kernel sends it TERM when the executor dies.
 */
import { accessSync, closeSync, constants, openSync } from "node:fs";
import { delimiter, join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { execa } from "execa";
import { killAttempt, type KilledProcess } from "../base/attempt-processes.js";
import { ioError } from "../base/fs.js";
import { stageFiles, type ExecutorMessage, type StageMessage } from "../plan/stage-files.js";

export type ChildExit =
  | { how: "exited"; code: number }
  | { how: "killed"; signal: string }
  | { how: "not-started"; cause: unknown };

export interface StageProcess {
  /** Undefined when it could not be started. */
  readonly pid: number | undefined;
  /** How it ended, and what it had left running (which is killed). */
  readonly exited: Promise<{ exit: ChildExit; leftovers: readonly KilledProcess[] }>;
  /** Asks it (and its children) to checkpoint and end. */
  terminate(): void;
  /** Ends it and everything it has started at once. */
  kill(): void;
  /** Asks it to save its state and go on. */
  checkpoint(): void;
  /** Makes it say in its log what it waits for. */
  reportState(): void;
}

const CHANNEL_DRAIN_MS = 1000;

export interface StageProcessInputs {
  /** Absolute path of the stage process's main module. */
  script: string;
  workingDirectory: string;
  /** Its whole environment. */
  environment: Readonly<Record<string, string>>;
  /** The value of ATTEMPT_VARIABLE in its environment. */
  attemptId: string;
  onMessage: (message: StageMessage) => void;
}

export function startStageProcess({
  script,
  workingDirectory,
  environment,
  attemptId,
  onMessage,
}: StageProcessInputs): StageProcess {
  const shortage = descriptorShortage();
  if (shortage !== undefined) return notStarted(shortage);
  const logPath = join(workingDirectory, stageFiles.log);
  let log: number;
  try {
    log = openSync(logPath, "a", 0o600);
  } catch (error) {
    throw ioError("open", logPath, error);
  }
  const [command, ...args] = [...deathSignal(), process.execPath, script, workingDirectory];
  const child = execa(command!, args, {
    detached: true,
    env: environment,
    extendEnv: false,
    stdin: "ignore",
    // Descriptors, not { file }: those would be pipes that the executor has to empty.
    // (Its types know only 3 to 9; any open descriptor is passed on as it is.)
    stdout: log as 3,
    stderr: log as 3,
    ipc: true,
    serialization: "json",
    buffer: false,
    reject: false,
    // The executor decides when its stages end, also when it is asked to end itself.
    cleanup: false,
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
  const exited = child.then(async (result) => {
    // What the stage left running must not outlive it. First by name, to say what it was.
    const leftovers = child.pid === undefined ? [] : killAttempt(attemptId);
    signalGroup("SIGKILL");
    // Its last reports may still be in the channel.
    if (child.connected) await Promise.race([disconnected, delay(CHANNEL_DRAIN_MS)]);
    return { exit: exitOf(result), leftovers };
  });
  return {
    pid: child.pid,
    exited,
    terminate: () => signalGroup("SIGTERM"),
    kill() {
      signalGroup("SIGKILL");
      if (child.pid !== undefined) killAttempt(attemptId);
    },
    checkpoint() {
      const message: ExecutorMessage = { type: "checkpoint" };
      // Not a signal: before there is a handler it would end the process.
      if (child.connected) void child.sendMessage({ ...message }).catch(() => undefined);
    },
    reportState() {
      child.kill("SIGUSR1");
    },
  };
}

/** What a process needs of this one: its log, its channel, and how its start went. */
const DESCRIPTORS = 8;

/**
 * Returns why no process can be started for want of descriptors. Asked before, as Node tells that
 * of a child without streams, which execa does not expect.
 */
function descriptorShortage(): unknown {
  const opened: number[] = [];
  try {
    while (opened.length < DESCRIPTORS) opened.push(openSync(process.execPath, "r"));
    return undefined;
  } catch (error) {
    return error;
  } finally {
    opened.forEach(closeSync);
  }
}

function notStarted(cause: unknown): StageProcess {
  const nothing = (): void => undefined;
  return {
    pid: undefined,
    exited: Promise.resolve({ exit: { how: "not-started", cause }, leftovers: [] }),
    ...{ terminate: nothing, kill: nothing, checkpoint: nothing, reportState: nothing },
  };
}

function exitOf(result: {
  signal?: string | undefined;
  exitCode?: number | undefined;
  cause?: unknown;
}): ChildExit {
  if (result.signal !== undefined) return { how: "killed", signal: result.signal };
  if (result.exitCode !== undefined) return { how: "exited", code: result.exitCode };
  return { how: "not-started", cause: result.cause ?? result };
}

let deathSignalCommand: readonly string[] | undefined;

/** Returns the command that has the kernel send TERM when the executor dies; empty without one. */
function deathSignal(): readonly string[] {
  deathSignalCommand ??=
    process.platform === "linux" && isOnPath("setpriv")
      ? ["setpriv", "--pdeathsig", "TERM", "--"]
      : [];
  return deathSignalCommand;
}

function isOnPath(program: string): boolean {
  return (process.env["PATH"] ?? "").split(delimiter).some((directory) => {
    try {
      accessSync(join(directory, program), constants.X_OK);
      return directory !== "";
    } catch {
      return false;
    }
  });
}
