/** @file The `dllm` command: the one place that prints errors and decides the exit code. */
import { CommanderError } from "commander";
import { DllmError, ExitCode, errorMessage } from "./base/errors.js";
import { outliveReaders } from "./base/lost-reader.js";
import { sanitize } from "./base/sanitize.js";
import type { CommandIo } from "./commands/command.js";
import { runProgram } from "./commands/program.js";

/** Runs the command line (without node and script) and returns its exit code; never throws. */
export async function runCli(
  argv: readonly string[],
  io: CommandIo = terminalIo(),
): Promise<ExitCode> {
  try {
    return await runProgram(argv, io);
  } catch (error) {
    return reportError(error, io);
  }
}

function reportError(error: unknown, io: CommandIo): ExitCode {
  // Commander has printed its message, help or version itself.
  if (error instanceof CommanderError) {
    return error.exitCode === 0 ? ExitCode.ok : ExitCode.usage;
  }
  const debug = process.env["DLLM_DEBUG"] === "1";
  if (error instanceof DllmError) {
    io.err(sanitize(`error: ${error.format()}`));
    if (debug) io.err(stackOf(error));
    return error.exitCode;
  }
  io.err(sanitize(`error: ${errorMessage(error)}`));
  io.err(
    debug
      ? stackOf(error)
      : "  this is a bug in dllm: please report it with the output of the same command under DLLM_DEBUG=1",
  );
  return ExitCode.bug;
}

function stackOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const cause = error.cause === undefined ? "" : `\ncaused by: ${stackOf(error.cause)}`;
  return `${error.stack ?? error.message}${cause}`;
}

/** The real terminal. */
export function terminalIo(): CommandIo {
  outliveReaders();
  return {
    out: (line) => process.stdout.write(`${line}\n`),
    err: (line) => process.stderr.write(`${line}\n`),
    write: (text) => process.stdout.write(text),
    input: process.stdin,
    isTty: process.stdout.isTTY,
    get columns() {
      // A pseudo-terminal without a size says 0.
      return process.stdout.columns || 80;
    },
  };
}
