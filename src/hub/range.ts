/**
 * @file Part of a file of the hub, past the cache. It cannot be compared with the digest of the
 * file: it is for looking at, and nothing is ever trained on it.
 */
import { fileUrl, otherVersion } from "./answer.js";
import { TransientError, bodyPieces, sendOnce, startRequestTimer, withRetries } from "./http.js";
import type { Hub } from "./hub.js";
import { describeRepository, type HubFile, type PinnedRepository } from "./repository.js";

export interface ByteRange {
  start: number;
  /** The byte after the last one. */
  end: number;
}

/**
 * Returns the bytes of a range; undefined when what is sent is not that range of that version.
 * @throws DllmError 66, 69, 77 as http.ts
 */
export async function fetchRange(
  hub: Hub,
  repository: PinnedRepository,
  file: HubFile,
  range: ByteRange,
): Promise<Buffer | undefined> {
  const what = `${describeRepository(repository)}: ${file.path}`;
  const url = fileUrl(hub, repository, file);
  return withRetries(hub, what, () => askRange(hub, { url, what, file }, range));
}

async function askRange(
  hub: Hub,
  { url, what, file }: { url: string; what: string; file: HubFile },
  { start, end }: ByteRange,
): Promise<Buffer | undefined> {
  const timer = startRequestTimer(hub);
  try {
    const headers = { "accept-encoding": "identity", range: `bytes=${start}-${end - 1}` };
    const { response, first } = await sendOnce(hub, { url, what, headers }, timer.abort.signal);
    timer.begun();
    const isRange =
      response.status === 206 &&
      response.headers.get("content-range") === `bytes ${start}-${end - 1}/${file.bytes}` &&
      otherVersion(first, file) === undefined;
    if (!isRange) {
      await response.body?.cancel();
      return undefined;
    }
    const pieces: Uint8Array[] = [];
    let bytes = 0;
    for await (const piece of bodyPieces(hub, response, timer.abort)) {
      bytes += piece.byteLength;
      if (bytes > end - start) return undefined;
      pieces.push(piece);
    }
    if (bytes < end - start) {
      throw new TransientError(`the answer ended after ${bytes} of ${end - start} bytes`);
    }
    return Buffer.concat(pieces);
  } finally {
    timer.done();
  }
}
