/** @file A process that reads a stream: `node stream-once.mjs <[job, chunks]>`. */
import { streamHere, type StreamJob } from "../../src/data/stream/open-stream.js";

const [job, chunks] = JSON.parse(process.argv[2] ?? "") as [StreamJob, number];
const stream = await streamHere(job, () => undefined);
await stream.take(chunks);
await stream.close();
