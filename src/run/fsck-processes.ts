/** @file Processes of a run that nobody supervises any more. */
import { existsSync } from "node:fs";
import { leftProcesses } from "../base/attempt-processes.js";
import type { Problem } from "./fsck.js";

/**
 * Returns the processes that attempts in the directories have left running after their executor.
 * (A stage may outlive its executor for as long as a checkpoint takes.)
 */
export function checkProcesses(run: string, directories: readonly string[]): Problem[] {
  const there = directories.filter((directory) => existsSync(directory));
  return leftProcesses(there).map(({ pid, command }) => ({
    path: run,
    problem: `process ${pid} works for it, and no executor runs: ${command || "(no command)"}`,
  }));
}
