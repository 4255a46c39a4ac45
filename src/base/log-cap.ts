/**
 * @file Keeps a log small that another process writes. A stage writes `out.log` directly, so that
 * no pipe can fill and no dead executor can block it; the executor looks at its size now and
 * then, moves the end of a file that has grown too large to `out.log.1`, and empties it. The stage
 * goes on at the new end because it appends. What comes between the copy and the emptying is lost.
 */
import { closeSync, fstatSync, ftruncateSync, openSync, readSync, statSync } from "node:fs";
import { appendLine, ioError, writeFileAtomic } from "./files.js";

/** A log is at most this, plus what can be written between two looks. */
const LIMIT_BYTES = 32 * 2 ** 20;
/** How much of its end is kept. */
const KEPT_BYTES = 8 * 2 ** 20;

/** Returns the name of the file that keeps the end of a log that was cut. */
export function olderLog(path: string): string {
  return `${path}.1`;
}

/** Cuts a log that is larger than the limit. @returns the bytes that are gone, 0 when none are */
export async function capLog(
  path: string,
  { limit = LIMIT_BYTES, kept = KEPT_BYTES }: { limit?: number; kept?: number } = {},
): Promise<number> {
  const size = statSync(path, { throwIfNoEntry: false })?.size ?? 0;
  if (size <= limit) return 0;
  await writeFileAtomic(olderLog(path), piecesOf(path, size - kept, size));
  const dropped = emptyFile(path) - kept;
  const note = `[dllm] ${dropped} bytes of output were dropped; ${olderLog(path)} has the last ${kept}`;
  appendLine(path, note);
  return dropped;
}

/** Returns the last bytes of a file as text; an absent file has none. */
export function readEnd(path: string, bytes: number): string {
  const size = statSync(path, { throwIfNoEntry: false })?.size ?? 0;
  return Buffer.concat([...piecesOf(path, Math.max(0, size - bytes), size)]).toString("utf8");
}

const PIECE_BYTES = 1 << 20;

function* piecesOf(path: string, start: number, end: number): Generator<Uint8Array> {
  if (start >= end) return;
  const file = openSync(path, "r");
  try {
    for (let at = start; at < end;) {
      const buffer = Buffer.allocUnsafe(Math.min(PIECE_BYTES, end - at));
      const read = readSync(file, buffer, 0, buffer.length, at);
      if (read === 0) return;
      at += read;
      yield buffer.subarray(0, read);
    }
  } finally {
    closeSync(file);
  }
}

/** Empties a file. @returns its size before */
function emptyFile(path: string): number {
  try {
    const file = openSync(path, "r+");
    try {
      const { size } = fstatSync(file);
      ftruncateSync(file, 0);
      return size;
    } finally {
      closeSync(file);
    }
  } catch (error) {
    throw ioError("empty", path, error);
  }
}
