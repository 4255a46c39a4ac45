/**
 * @file Errors that a user can act on, and the exit codes of the command line.
 * Codes 65-78 follow BSD sysexits.
 */

/** Exit codes of `dllm` and of its stage processes. */
export const ExitCode = {
  ok: 0,
  stageFailed: 1,
  usage: 2,
  expectationFailed: 3,
  cannotFit: 4,
  invalidInput: 65,
  notFound: 66,
  unavailable: 69,
  bug: 70,
  cannotCreate: 73,
  ioError: 74,
  /** Locked by another process, or stopped on request with resumable state. */
  temporary: 75,
  noPermission: 77,
  environment: 78,
} as const;

export type ExitCode = (typeof ExitCode)[keyof typeof ExitCode];

/**
 * A failure with a message for the user: where, what was found, what was expected,
 * what to do next (further lines are indented by two spaces when printed).
 */
export class DllmError extends Error {
  override readonly name: string = "DllmError";
  readonly exitCode: ExitCode;
  /** Follow-up lines: expected values, a hint, the next command. */
  readonly details: readonly string[];
  /** A finer code than the exit code's, where whoever catches it acts on that: `diverged`. */
  readonly reason: string | undefined;

  constructor(
    message: string,
    options: {
      exitCode: ExitCode;
      details?: readonly string[];
      reason?: string;
      cause?: unknown;
    },
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.exitCode = options.exitCode;
    this.details = options.details ?? [];
    this.reason = options.reason;
  }

  /** The message and its details as they are printed. */
  format(): string {
    return [this.message, ...this.details.map((line) => `  ${line}`)].join("\n");
  }
}

/** A tensor or array argument whose shape disagrees with another argument. A bug, not bad input. */
export class ShapeError extends Error {
  override readonly name: string = "ShapeError";
}

/** The text of any thrown value. */
export function errorMessage(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** The `code` of a Node system error (`ENOENT`, `EACCES`, …), if there is one. */
export function errorCode(error: unknown): string | undefined {
  if (error instanceof Error && "code" in error && typeof error.code === "string") {
    return error.code;
  }
  return undefined;
}
