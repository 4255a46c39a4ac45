/** @file What Linux knows of a running process: its memory, and what its threads do. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

function read(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return undefined;
  }
}

/** Returns the most memory that a process has had resident so far, in bytes. */
export function peakResidentBytes(pid: number, proc = "/proc"): number | undefined {
  const kibibytes = /^VmHWM:\s+(\d+) kB$/m.exec(read(join(proc, `${pid}/status`)) ?? "")?.[1];
  return kibibytes === undefined ? undefined : Number(kibibytes) * 1024;
}

/** Whether a process is stopped by a signal (state T), and so cannot be expected to report. */
export function isStopped(pid: number, proc = "/proc"): boolean {
  const stat = read(join(proc, `${pid}/stat`));
  return stat !== undefined && /^[Tt] /.test(stat.slice(stat.lastIndexOf(")") + 2));
}

const SHOWN_THREADS = 12;

/**
 * Returns a line per thread, the main one first: its name, state (R runs, S and D wait), what it
 * waits for in the kernel, and its processor time in seconds. None where there is no /proc.
 */
export function threadStates(pid: number, proc = "/proc"): string[] {
  const tasks = join(proc, `${pid}/task`);
  let ids: string[];
  try {
    ids = readdirSync(tasks);
  } catch {
    return [];
  }
  return ids.slice(0, SHOWN_THREADS).flatMap((id) => {
    const stat = read(join(tasks, id, "stat"));
    if (stat === undefined) return [];
    const name = stat.slice(stat.indexOf("(") + 1, stat.lastIndexOf(")"));
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    // Clock ticks, of which Linux shows programs 100 per second.
    const seconds = (Number(fields[11]) + Number(fields[12])) / 100;
    const place = read(join(tasks, id, "wchan"));
    const waits = place === undefined || place === "0" ? "" : `, in ${place}`;
    return [`  ${id} ${name}: ${fields[0]}${waits}, ${seconds} s of processor time`];
  });
}
