/**
 * @file Which process is meant, for certain: a process id alone is reused, and `kill(pid, 0)`
 * says yes for zombies. Linux answers from /proc; elsewhere the id has to do.
 */
import { readFileSync } from "node:fs";
import { hostname } from "node:os";

export interface ProcessIdentity {
  host: string;
  /** Changes with every boot; null where unknown. */
  bootId: string | null;
  pid: number;
  /** Clock ticks from boot to the start of the process; null where unknown. */
  startTime: string | null;
}

function readProc(path: string): string | null {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return null;
  }
}

/** Returns state letter and start time of a process, or null when /proc does not know it. */
function readStat(pid: number): { state: string; startTime: string } | null {
  const stat = readProc(`/proc/${pid}/stat`);
  if (stat === null) return null;
  // The second field is the command in parentheses and may hold anything, spaces included.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return { state: fields[0] ?? "", startTime: fields[19] ?? "" };
}

function bootId(): string | null {
  return readProc("/proc/sys/kernel/random/boot_id")?.trim() ?? null;
}

/** Returns the identity of this process. */
export function thisProcess(): ProcessIdentity {
  return {
    host: hostname(),
    bootId: bootId(),
    pid: process.pid,
    startTime: readStat(process.pid)?.startTime ?? null,
  };
}

/** Whether any process has this number now; zombies do not count where /proc tells. */
export function isAlive(pid: number): boolean {
  if (bootId() === null) return answersSignal(pid);
  const stat = readStat(pid);
  return stat !== null && !"ZX".includes(stat.state);
}

function answersSignal(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}

/** Whether the process still runs; `unknown` when it belongs to another host. */
export function processState(identity: ProcessIdentity): "alive" | "dead" | "unknown" {
  if (identity.host !== hostname()) return "unknown";
  const boot = bootId();
  if (boot === null) return answersSignal(identity.pid) ? "alive" : "dead";
  if (identity.bootId !== boot) return "dead";
  const stat = readStat(identity.pid);
  if (stat === null || "ZX".includes(stat.state)) return "dead";
  return stat.startTime === identity.startTime ? "alive" : "dead";
}
