/**
 * @file A process that reads a stream from a checkpoint on:
 * `node stream-once.mjs <[job, checkpoint, chunks]>`.
 */
import { streamHere, type StreamJob } from "../../src/data/stream/open-stream.js";
import { readStream } from "../../src/data/stream/stream-state.js";

const [job, checkpoint, chunks] = JSON.parse(process.argv[2] ?? "") as [StreamJob, string, number];
const { state: from } = await readStream(checkpoint);
const stream = await streamHere({ ...job, from }, () => undefined);
await stream.take(chunks);
await stream.close();
