/**
 * @file Files of one JSON object per line that are only appended to. A crash can tear the last
 * line; it is cut off, and kept, when the file is opened for appending again.
 */
import {
  closeSync,
  existsSync,
  fsyncSync,
  ftruncateSync,
  openSync,
  readFileSync,
  writeSync,
} from "node:fs";
import { appendLine, ioError } from "./files.js";

export interface JsonLinesFile {
  /**
   * Appends one line (JSON text) with a single write.
   * @param options.durable forces it and what came before to the disk, or not, in this case
   */
  append(line: string, options?: { durable: boolean }): void;
  close(): void;
}

/**
 * Opens a file for appending, after moving a torn last line to the file `tornPath`.
 * @param durable forces every line to the disk before append() returns
 */
export function openJsonLines(
  path: string,
  { tornPath, durable = false }: { tornPath: string; durable?: boolean },
): JsonLinesFile {
  let file: number;
  try {
    if (existsSync(path)) cutTornLine(path, tornPath);
    file = openSync(path, "a", 0o600);
  } catch (error) {
    throw ioError("open", path, error);
  }
  return {
    append(line, options = { durable }) {
      appendLine(file, line);
      if (options.durable) fsyncSync(file);
    },
    close: () => closeSync(file),
  };
}

function cutTornLine(path: string, tornPath: string): void {
  const bytes = readFileSync(path);
  const end = bytes.lastIndexOf(0x0a) + 1;
  if (end === bytes.length) return;
  const torn = openSync(tornPath, "a", 0o600);
  writeSync(torn, Buffer.concat([bytes.subarray(end), Buffer.from("\n")]));
  fsyncSync(torn);
  closeSync(torn);
  const file = openSync(path, "r+");
  ftruncateSync(file, end);
  fsyncSync(file);
  closeSync(file);
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
