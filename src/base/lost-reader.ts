/** @file Output whose reader has gone: a pipe that was closed, a terminal that was. */
import { errorCode } from "./errors.js";

const GONE = ["EPIPE", "EIO", "ERR_STREAM_DESTROYED"];

/** Keeps the loss of whoever reads stdout or stderr from ending this process. */
export function outliveReaders(): void {
  for (const stream of [process.stdout, process.stderr]) {
    // A reader that went away (`dllm run … | head`, a closed window) must not end a training.
    stream.on("error", (error) => {
      if (!GONE.includes(errorCode(error) ?? "")) throw error;
    });
  }
}
