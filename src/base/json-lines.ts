/**
 * @file Files of one JSON object per line that are only appended to. A crash can tear the last
 * line; it is cut off, and kept, when the file is opened for appending again.
 */
import { existsSync, readFileSync } from "node:fs";
import { cutFile, ioError, openForAppending, type AppendFile } from "./files.js";

/**
 * Opens a file for appending, after moving a torn last line to the file `tornPath`.
 * @param durable forces every line to the disk before append() returns
 */
export function openJsonLines(
  path: string,
  { tornPath, durable = false }: { tornPath: string; durable?: boolean },
): AppendFile {
  if (existsSync(path)) cutTornLine(path, tornPath);
  return openForAppending(path, { durable });
}

/** Returns how many bytes follow the last newline: a line that a crash has torn. */
export function tornTail(path: string): number {
  const bytes = readBytes(path);
  return bytes.length - (bytes.lastIndexOf(0x0a) + 1);
}

/** Moves a torn last line to the end of `tornPath`. */
export function cutTornLine(path: string, tornPath: string): void {
  const bytes = readBytes(path);
  const end = bytes.lastIndexOf(0x0a) + 1;
  if (end === bytes.length) return;
  const torn = openForAppending(tornPath, { durable: true });
  try {
    // Kept before it is cut, so that a crash in between loses nothing.
    torn.append(bytes.subarray(end));
  } finally {
    torn.close();
  }
  cutFile(path, end);
}

function readBytes(path: string): Buffer {
  try {
    return readFileSync(path);
  } catch (error) {
    throw ioError("read", path, error);
  }
}

export interface JsonLines<T> {
  records: T[];
  /** Complete lines that are not JSON objects. */
  badLines: number;
}

/** Returns the objects of a file; a torn last line is ignored, an absent file has none. */
export function readJsonLines<T extends object>(path: string): JsonLines<T> {
  if (!existsSync(path)) return { records: [], badLines: 0 };
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    throw ioError("read", path, error);
  }
  const records: T[] = [];
  let badLines = 0;
  // What follows the last newline is empty or torn.
  for (const line of text.split("\n").slice(0, -1)) {
    const value = parseObject<T>(line);
    if (value) records.push(value);
    else badLines++;
  }
  return { records, badLines };
}

function parseObject<T extends object>(line: string): T | undefined {
  try {
    const value: unknown = JSON.parse(line);
    return typeof value === "object" && value !== null ? (value as T) : undefined;
  } catch {
    return undefined;
  }
}
