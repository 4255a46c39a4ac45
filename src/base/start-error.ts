/** @file Programs that cannot be started, as errors that say what to do. */
import { DllmError, ExitCode, errorCode, errorMessage } from "./errors.js";

/** What may pass by itself: no process, no descriptor, no memory to spare. */
const PASSING = ["EAGAIN", "EMFILE", "ENFILE", "ENOMEM"];

const hints: Readonly<Record<string, string>> = {
  EAGAIN: "there are too many processes: end some, or raise the limit (ulimit -u)",
  EMFILE: "there are too many open files: raise the limit (ulimit -n)",
  ENFILE: "there are too many open files on this machine: end some processes",
  ENOMEM: "there is too little memory for another process: end some",
  EACCES: "you lack the permission to run it",
  E2BIG: "the environment is too large: unset some variables",
};

/** Whether a start that failed may succeed a moment later. */
export function mayStartLater(code: string | undefined): boolean {
  return PASSING.includes(code ?? "");
}

/** Returns a start that failed as a DllmError: 75 where it may pass, 77 without permission, or 78. */
export function startError(program: string, cause: unknown): DllmError {
  const code = errorCode(cause);
  const hint = hints[code ?? ""];
  return new DllmError(`${program} cannot be started: ${errorMessage(cause)}`, {
    exitCode: mayStartLater(code)
      ? ExitCode.temporary
      : code === "EACCES"
        ? ExitCode.noPermission
        : ExitCode.environment,
    details: hint === undefined ? [] : [hint],
    cause,
  });
}
