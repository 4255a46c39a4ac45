/**
 * @file The processes of a stage's attempt, wherever they went: they are recognised by an
 * environment variable that every descendant inherits, also in another session or process group.
 * Only Linux can be asked (/proc); elsewhere there are none to find.
 */
import { createHash } from "node:crypto";
import { readdirSync, readFileSync, realpathSync } from "node:fs";
import { processState, thisProcess, type ProcessIdentity } from "./process-identity.js";

/** `<key of the working directory>.<attempt>.<pid>.<start time>` of the executor, which cleans up. */
export const ATTEMPT_VARIABLE = "DLLM_ATTEMPT_ID";

/** Returns the id of an attempt that this process is about to start. */
export function attemptId(workingDirectory: string, attempt: number): string {
  const { pid, startTime } = thisProcess();
  return `${directoryKey(workingDirectory)}.${attempt}.${pid}.${startTime ?? 0}`;
}

/** Equal fingerprints in two stores are two stages. */
function directoryKey(workingDirectory: string): string {
  const path = realpathSync(workingDirectory);
  return createHash("sha256").update(path).digest("hex").slice(0, 16);
}

export interface KilledProcess {
  pid: number;
  /** Its command line, cut. */
  command: string;
}

/** Kills every process of an attempt, until none is left. @returns those it found */
export function killAttempt(id: string): KilledProcess[] {
  return killWhere((found) => found === id);
}

/**
 * Kills what earlier attempts in a working directory left running after their executor had died.
 * The caller holds the directory's lock, so none of them may write there any more.
 */
export function killLeftovers(workingDirectory: string): KilledProcess[] {
  const prefix = `${directoryKey(workingDirectory)}.`;
  return killWhere((found) => found.startsWith(prefix) && isOrphan(found));
}

/** Whether the executor of an attempt is gone. */
function isOrphan(id: string): boolean {
  const [, , pid, startTime] = id.split(".");
  const { host, bootId } = thisProcess();
  const executor: ProcessIdentity = { host, bootId, pid: Number(pid), startTime: startTime ?? "" };
  return processState(executor) === "dead";
}

function killWhere(matches: (id: string) => boolean): KilledProcess[] {
  const killed = new Map<number, KilledProcess>();
  // Again after a kill: a process may have been forking.
  for (;;) {
    const found = findProcesses(matches).filter(({ pid }) => !killed.has(pid));
    if (found.length === 0) return [...killed.values()];
    for (const each of found) {
      killed.set(each.pid, each);
      try {
        process.kill(each.pid, "SIGKILL");
      } catch {
        // It has just ended.
      }
    }
  }
}

/** Returns what attempts in these working directories have left running after their executor. */
export function leftProcesses(workingDirectories: readonly string[]): KilledProcess[] {
  const keys = new Set(workingDirectories.map(directoryKey));
  return findProcesses((found) => keys.has(found.split(".")[0] ?? "") && isOrphan(found));
}

const COMMAND_LENGTH = 80;

function findProcesses(matches: (id: string) => boolean): KilledProcess[] {
  let names: string[];
  try {
    names = readdirSync("/proc");
  } catch {
    return [];
  }
  return names.flatMap((name) => {
    const pid = Number(name);
    if (!Number.isInteger(pid) || pid === process.pid) return [];
    try {
      const environment = readFileSync(`/proc/${name}/environ`, "latin1");
      const at = `\0${environment}`.indexOf(`\0${ATTEMPT_VARIABLE}=`);
      if (at < 0) return [];
      const start = at + ATTEMPT_VARIABLE.length + 1;
      const end = environment.indexOf("\0", start);
      if (!matches(environment.slice(start, end < 0 ? undefined : end))) return [];
      const command = readFileSync(`/proc/${name}/cmdline`, "utf8").replaceAll("\0", " ").trim();
      return [{ pid, command: command.slice(0, COMMAND_LENGTH) }];
    } catch {
      // Ended meanwhile, or another user's.
      return [];
    }
  });
}
