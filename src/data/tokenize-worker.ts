/** @file A thread that tokenises: gets batches of items, answers each with its tokens. */
import { parentPort, workerData } from "node:worker_threads";
import { DllmError, ExitCode, errorMessage } from "../base/errors.js";
import { tokenizeBatch, type TokenizeItem, type TokenizeSettings } from "./tokenize-rows.js";
import type { WorkerAnswer } from "./tokenize-pool.js";
import { loadTokenizer } from "./tokenizer.js";

const { directory, settings } = workerData as { directory: string; settings: TokenizeSettings };
const tokenizer = loadTokenizer(directory);

parentPort!.on("message", (items: TokenizeItem[]) => {
  void tokenizer
    .then((loaded): WorkerAnswer => tokenizeBatch(loaded, settings, items))
    .catch((error: unknown): WorkerAnswer => {
      const { exitCode, details } =
        error instanceof DllmError ? error : { exitCode: ExitCode.bug, details: [] };
      return { error: { message: errorMessage(error), exitCode, details } };
    })
    .then((answer) => {
      const buffers =
        "error" in answer
          ? []
          : [answer.ids.buffer as ArrayBuffer, answer.rows.buffer as ArrayBuffer];
      parentPort!.postMessage(answer, buffers);
    });
});
