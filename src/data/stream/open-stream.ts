/** @file A stream of chunks that is read, tokenised and shuffled in a thread of its own. */
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { Worker } from "node:worker_threads";
import { DllmError, type ExitCode } from "../../base/errors.js";
import { openHub } from "../../hub/hub.js";
import { readHubSettings } from "../../hub/settings.js";
import { loadTokenizer } from "../tokenizer.js";
import { chunkStream, type ChunkStreamState } from "./chunk-stream.js";
import { openStreamSources } from "./stream-rows.js";
import type { StreamSpec } from "./stream-spec.js";

export interface StreamJob {
  spec: StreamSpec;
  /** Source name to the directory of its local files. */
  locations: Readonly<Record<string, string>>;
  /** A directory for shards while they are read: made when needed, removed by the caller. */
  scratch: string;
  /** Directory of the tokenizer. */
  tokenizer: string;
  /** Where to begin; absent: at the beginning. */
  from?: ChunkStreamState;
}

/** A stream, wherever it is computed. Requests are answered in the order in which they are made. */
export interface OpenStream {
  take(chunks: number): Promise<Int32Array[]>;
  state(): Promise<ChunkStreamState>;
  close(): Promise<void>;
}

export type StreamRequest = { take: number } | { state: true };
export type StreamAnswer =
  | { chunks: Int32Array[] }
  | { state: ChunkStreamState }
  | { log: string }
  | { error: { message: string; exitCode: ExitCode; details: readonly string[] } };

/** Returns a stream in this thread. */
export async function streamHere(
  { spec, locations, scratch, tokenizer, from }: StreamJob,
  log: (line: string) => void,
): Promise<OpenStream> {
  const hub = () => openHub(readHubSettings(process.env), { log });
  const sources = await openStreamSources(spec, { locations, hub, scratch });
  const stream = chunkStream(sources, { spec, tokenizer: await loadTokenizer(tokenizer) }, from);
  let last: Promise<unknown> = Promise.resolve();
  /** One request after another. */
  const queued = <T>(action: () => Promise<T>): Promise<T> => {
    const result = last.then(action);
    last = result.catch(() => undefined);
    return result;
  };
  return {
    take: (chunks) =>
      queued(async () => {
        const taken: Int32Array[] = [];
        while (taken.length < chunks) taken.push(await stream.next());
        return taken;
      }),
    state: () => queued(() => Promise.resolve(stream.state())),
    close: () => sources.close(),
  };
}

/**
 * Returns a stream in a thread of its own.
 * @param script the thread's main module; from sources that are not compiled there is none, and
 * this thread does the work
 */
export async function openStream(
  job: StreamJob,
  log: (line: string) => void,
  script = fileURLToPath(new URL("./stream-worker.js", import.meta.url)),
): Promise<OpenStream> {
  if (!existsSync(script)) return streamHere(job, log);
  const worker = new Worker(script, { workerData: job });
  const waiting: { resolve(answer: StreamAnswer): void; reject(error: unknown): void }[] = [];
  worker.on("message", (answer: StreamAnswer) => {
    if ("log" in answer) return log(answer.log);
    const asked = waiting.shift()!;
    if (!("error" in answer)) return asked.resolve(answer);
    const { message, exitCode, details } = answer.error;
    asked.reject(new DllmError(message, { exitCode, details }));
  });
  let ended: Error | undefined;
  const fail = (error: Error): void => {
    ended ??= error;
    for (const asked of waiting.splice(0)) asked.reject(ended);
  };
  worker.on("error", fail);
  worker.on("exit", (code) => fail(new Error(`the thread of the stream ended with code ${code}`)));
  const ask = (request: StreamRequest): Promise<StreamAnswer> =>
    new Promise((resolve, reject) => {
      if (ended !== undefined) return reject(ended);
      waiting.push({ resolve, reject });
      worker.postMessage(request);
    });
  return {
    take: async (chunks) => ((await ask({ take: chunks })) as { chunks: Int32Array[] }).chunks,
    state: async () => ((await ask({ state: true })) as { state: ChunkStreamState }).state,
    close: async () => {
      await worker.terminate();
    },
  };
}
