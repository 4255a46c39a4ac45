/** @file A thread that reads a stream: asked for chunks or for where it is, answers in order. */
import { parentPort, workerData } from "node:worker_threads";
import { DllmError, ExitCode, errorMessage } from "../../base/errors.js";
import {
  streamHere,
  type StreamAnswer,
  type StreamJob,
  type StreamRequest,
} from "./open-stream.js";

const post = (answer: StreamAnswer): void => parentPort!.postMessage(answer);
const stream = streamHere(workerData as StreamJob, (log) => post({ log }));
// Every request says so.
stream.catch(() => undefined);

parentPort!.on("message", (request: StreamRequest) => {
  void stream
    .then(async (open): Promise<StreamAnswer> =>
      "take" in request ? { chunks: await open.take(request.take) } : { state: await open.state() },
    )
    .catch((error: unknown): StreamAnswer => {
      const { exitCode, details } =
        error instanceof DllmError ? error : { exitCode: ExitCode.bug, details: [] };
      return { error: { message: errorMessage(error), exitCode, details } };
    })
    .then(post);
});
