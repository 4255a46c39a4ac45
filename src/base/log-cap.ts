/**
 * @file Keeps a log small that another process writes. A stage writes `out.log` directly, so that
 * no pipe can fill and no dead executor can block it; the executor looks at its size now and
 * then, moves the end of a file that has grown too large to `out.log.1`, and empties it. The stage
 * goes on at the new end because it appends.
 */
import { closeSync, openSync, readSync, statSync } from "node:fs";
import { moveEnd, openForAppending } from "./files.js";

/** A log is at most this, plus what can be written between two looks. */
const LIMIT_BYTES = 32 * 2 ** 20;
/** How much of its end is kept. */
const KEPT_BYTES = 8 * 2 ** 20;

/** Returns the name of the file that keeps the end of a log that was cut. */
export function olderLog(path: string): string {
  return `${path}.1`;
}

/** Cuts a log that is larger than the limit. @returns the bytes that are gone, 0 when none are */
export function capLog(
  path: string,
  { limit = LIMIT_BYTES, kept = KEPT_BYTES }: { limit?: number; kept?: number } = {},
): number {
  const size = statSync(path, { throwIfNoEntry: false })?.size ?? 0;
  if (size <= limit) return 0;
  const { moved, dropped } = moveEnd(path, olderLog(path), kept);
  noteInLog(
    path,
    `${dropped} bytes of output were dropped; ${olderLog(path)} has the last ${moved}`,
  );
  return dropped;
}

/** Adds a line of ours to a log that another process writes, too. */
export function noteInLog(path: string, line: string): void {
  const file = openForAppending(path);
  try {
    file.append(`[dllm] ${line}`);
  } finally {
    file.close();
  }
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
