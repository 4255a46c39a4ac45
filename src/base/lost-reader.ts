/** @file Output that cannot be written: a pipe or a terminal that was closed, a disk that is full. */
import { ExitCode, errorCode, errorMessage } from "./errors.js";

const GONE = ["EPIPE", "EIO", "ERR_STREAM_DESTROYED"];

/**
 * Keeps output that cannot be written from ending this process: it must not end a training. A
 * reader that went away (`dllm run … | head`, a closed window) misses nothing; what is missing in a
 * file is said once, and by exit code 74 where all else went well.
 */
export function outliveReaders(): void {
  let failed = false;
  for (const [name, stream] of [
    ["standard output", process.stdout],
    ["standard error", process.stderr],
  ] as const) {
    stream.on("error", (error) => {
      if (failed || GONE.includes(errorCode(error) ?? "")) return;
      failed = true;
      process.stderr.write(`error: cannot write the ${name}: ${errorMessage(error)}\n`);
    });
  }
  process.once("exit", () => {
    if (failed && !process.exitCode) process.exitCode = ExitCode.ioError;
  });
}
