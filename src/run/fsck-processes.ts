/** @file Processes of a run that nobody supervises any more. Linux only: /proc tells. */
import { readFileSync, readdirSync } from "node:fs";
import type { Problem } from "./fsck.js";

/**
 * Returns the processes that work in one of the directories, which nobody should as the run has no
 * executor. (A stage may outlive its executor for as long as a checkpoint takes.)
 */
export function checkProcesses(run: string, directories: readonly string[]): Problem[] {
  if (process.platform !== "linux") return [];
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
    .flatMap((pid) => {
      const command = read(`/proc/${pid}/cmdline`);
      const environment = read(`/proc/${pid}/environ`);
      const directory = directories.find(
        (each) =>
          command.split("\0").includes(each) ||
          // Also of grandchildren, which have left the session: they keep the environment.
          environment.split("\0").some((entry) => isAttemptIn(entry, each)),
      );
      if (directory === undefined) return [];
      const line = command.replaceAll("\0", " ").trim();
      return [
        {
          path: run,
          problem: `process ${pid} works for it, and no executor runs: ${line || "(no command)"}`,
        },
      ];
    });
}

/** Whether an entry of an environment names an attempt of the stage in this directory. */
function isAttemptIn(entry: string, directory: string): boolean {
  const fingerprint = directory.slice(-64);
  return entry.startsWith("DLLM_ATTEMPT_ID=") && entry.includes(fingerprint);
}

function read(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return ""; // gone, or of another user
  }
}
