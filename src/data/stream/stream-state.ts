/**
 * @file Where a stream is, on disk, beside the training state of a checkpoint:
 *
 *     stream.json      position, and the length of each chunk
 *     stream.ids.bin   int32 little-endian: the chunks of the buffer, then those read ahead
 */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { DllmError, ExitCode, errorCode } from "../../base/errors.js";
import { readJson, writeFile, writeJson } from "../../base/fs.js";
import type { ChunkStreamState } from "./chunk-stream.js";

/** A stream between two steps. */
export interface StreamCheckpoint {
  state: ChunkStreamState;
  /** Chunks that have come out of it and were not trained on yet. */
  ahead: readonly Int32Array[];
  /** How many have been trained on. */
  trained: number;
}

const FILE = "stream.json";
const IDS = "stream.ids.bin";

/** Writes where a stream is into a private directory. */
export async function writeStream(
  directory: string,
  { state: { buffer, ...state }, ahead, trained }: StreamCheckpoint,
): Promise<void> {
  const chunks = [...buffer, ...ahead];
  await writeFile(
    join(directory, IDS),
    chunks.map((ids) => new Uint8Array(ids.buffer, ids.byteOffset, ids.byteLength)),
  );
  await writeJson(join(directory, FILE), {
    schema: 1,
    ...state,
    trained,
    ahead: ahead.length,
    lengths: chunks.map(({ length }) => length),
  });
}

/** Reads what writeStream wrote. @throws DllmError 65 when it is not there, or not whole */
export async function readStream(directory: string): Promise<StreamCheckpoint> {
  const { lengths, ahead, trained, start, given, draws, rows, badRows } = readJson(
    join(directory, FILE),
  ) as Omit<ChunkStreamState, "buffer"> & { lengths: number[]; ahead: number; trained: number };
  const bytes = await readFile(join(directory, IDS)).catch((cause: unknown) => {
    if (errorCode(cause) !== "ENOENT") throw cause;
    return Buffer.alloc(0);
  });
  const ids = new Int32Array(new Uint8Array(bytes).buffer);
  const total = lengths.reduce((sum, length) => sum + length, 0);
  if (ids.length !== total) {
    throw new DllmError(`${join(directory, IDS)}: ${ids.length} ids, expected ${total}`, {
      exitCode: ExitCode.invalidInput,
      details: ["the checkpoint is damaged"],
    });
  }
  let at = 0;
  const chunks = lengths.map((length) => ids.slice(at, (at += length)));
  const buffer = chunks.slice(0, chunks.length - ahead);
  return {
    state: { start, given, draws, rows, badRows, buffer },
    ahead: chunks.slice(buffer.length),
    trained,
  };
}
