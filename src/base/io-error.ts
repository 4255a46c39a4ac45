/** @file Failed file operations as errors that say what to do. */
import { statfsSync } from "node:fs";
import { dirname } from "node:path";
import { DllmError, ExitCode, errorCode, errorMessage } from "./errors.js";

const exitCodes: Record<string, ExitCode> = {
  ENOENT: ExitCode.notFound,
  EROFS: ExitCode.cannotCreate,
  EEXIST: ExitCode.cannotCreate,
  ENOTDIR: ExitCode.cannotCreate,
  ENOTEMPTY: ExitCode.cannotCreate,
  ENAMETOOLONG: ExitCode.cannotCreate,
  ELOOP: ExitCode.cannotCreate,
};

const hints: Record<string, string> = {
  ENOSPC: "the disk is full: free some space and run the command again",
  EDQUOT: "the disk quota is used up: free some space and run the command again",
  EFBIG: "the file would be larger than is allowed: raise the limit (ulimit -f)",
  EACCES: "you lack the permission for it",
  EPERM: "you lack the permission for it",
  EROFS: "the file system is read-only",
  EMFILE: "too many open files: raise the limit (ulimit -n)",
  ENFILE: "too many open files on this machine",
  EIO: "the disk or its connection fails: what was written before is kept; look at the system's log",
  ELOOP: "it is a symbolic link, and nothing is written through one",
  ENAMETOOLONG: "the path or a name in it is too long: choose another --runs or a shorter name",
};

/**
 * Returns a failed file operation as a DllmError: 66, 73, 77, or 74 for everything else.
 * @param neededBytes how much was to be written, where that is known
 */
export function ioError(
  action: string,
  path: string,
  cause: unknown,
  neededBytes?: number,
): DllmError {
  if (cause instanceof DllmError) return cause;
  const code = errorCode(cause) ?? "";
  const hint = hints[code];
  const space = code === "ENOSPC" || code === "EDQUOT" ? spaceLine(path, neededBytes) : undefined;
  return new DllmError(`cannot ${action} ${path}: ${errorMessage(cause)}`, {
    exitCode: exitCode(code, action),
    details: [hint, space].filter((line) => line !== undefined),
    cause,
  });
}

/** Without permission, what could not be read is refused, and what could not be made is not made. */
function exitCode(code: string, action: string): ExitCode {
  if (code === "EACCES" || code === "EPERM") {
    return action === "read" ? ExitCode.noPermission : ExitCode.cannotCreate;
  }
  return exitCodes[code] ?? ExitCode.ioError;
}

function spaceLine(path: string, neededBytes: number | undefined): string | undefined {
  const needed = neededBytes === undefined ? "" : `, ${neededBytes} needed at once`;
  for (let at = dirname(path); ; at = dirname(at)) {
    try {
      const { bavail, bsize, ffree } = statfsSync(at);
      const files = ffree === 0 ? ", and no more files can be created" : "";
      return `free there: ${bavail * bsize} bytes${needed}${files}`;
    } catch {
      if (at === dirname(at)) return undefined;
    }
  }
}
