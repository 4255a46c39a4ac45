/**
 * @file Threads that tokenise. Answers belong to the batches that they were asked for, so what is
 * made of them does not depend on how many threads there are.
 */
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { Worker } from "node:worker_threads";
import { DllmError, type ExitCode } from "../base/errors.js";
import {
  tokenizeBatch,
  type TokenizedBatch,
  type TokenizeItem,
  type TokenizeSettings,
} from "./tokenize-rows.js";
import { loadTokenizer } from "./tokenizer.js";

/**
 * Of any number of processors: a thread takes about 120 MiB, and a prepare stage is to stay below
 * 1 GiB, of which the thread that reads takes about 300.
 */
const MOST_THREADS = 6;

/**
 * What a thread holds is a fifth of it; the nearer the bound, the less V8 lets a heap grow beyond
 * what is alive.
 */
const HEAP_MIB = 512;

export type WorkerAnswer =
  TokenizedBatch | { error: { message: string; exitCode: ExitCode; details: readonly string[] } };

export interface TokenizePool {
  readonly threads: number;
  /** @throws DllmError as the tokenizer does */
  run(items: readonly TokenizeItem[]): Promise<TokenizedBatch>;
  close(): Promise<void>;
}

/**
 * Returns a pool for the tokenizer of a directory, of at most so many threads; with one thread it
 * works in this one.
 * @param script the thread's main module; from sources that are not compiled there is none, and
 * this thread does the work
 */
export async function openTokenizePool({
  directory,
  settings,
  threads,
  script = fileURLToPath(new URL("./tokenize-worker.js", import.meta.url)),
}: {
  directory: string;
  settings: TokenizeSettings;
  threads: number;
  script?: string;
}): Promise<TokenizePool> {
  if (threads <= 1 || !existsSync(script)) {
    const tokenizer = await loadTokenizer(directory);
    return {
      threads: 1,
      run: async (items) => {
        // Lets timers and signals run between batches.
        await new Promise((resolve) => setImmediate(resolve));
        return tokenizeBatch(tokenizer, settings, items);
      },
      close: () => Promise.resolve(),
    };
  }
  const count = Math.min(threads, MOST_THREADS);
  const workers = Array.from({ length: count }, () => startWorker(script, directory, settings));
  let next = 0;
  return {
    threads: count,
    run: (items) => workers[next++ % count]!.run(items),
    close: async () => {
      await Promise.all(workers.map(({ worker }) => worker.terminate()));
    },
  };
}

interface Waiting {
  resolve(batch: TokenizedBatch): void;
  reject(error: unknown): void;
}

function startWorker(script: string, directory: string, settings: TokenizeSettings) {
  const worker = new Worker(script, {
    workerData: { directory, settings },
    resourceLimits: { maxOldGenerationSizeMb: HEAP_MIB },
  });
  // A thread answers in the order in which it is asked.
  const waiting: Waiting[] = [];
  worker.on("message", (answer: WorkerAnswer) => {
    const asked = waiting.shift()!;
    if (!("error" in answer)) return asked.resolve(answer);
    const { message, exitCode, details } = answer.error;
    asked.reject(new DllmError(message, { exitCode, details }));
  });
  const fail = (error: unknown): void => {
    for (const asked of waiting.splice(0)) asked.reject(error);
  };
  worker.on("error", fail);
  worker.on("exit", (code) => fail(new Error(`a tokenizer thread ended with code ${code}`)));
  return {
    worker,
    run: (items: readonly TokenizeItem[]): Promise<TokenizedBatch> =>
      new Promise((resolve, reject) => {
        waiting.push({ resolve, reject });
        worker.postMessage(items);
      }),
  };
}
