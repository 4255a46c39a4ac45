/** @file Text files: JSON lines, paragraphs. */
import { errorMessage } from "../../base/errors.js";
import { contentOf } from "./bytes.js";
import { badRow, invalidData, notUtf8, objectRow, type SourceRow } from "./row.js";

const NEWLINE = 10;
const LONGEST_LINE_BYTES = 64 << 20;

interface Line {
  line: number;
  /** Undefined where the bytes are not UTF-8. */
  text: string | undefined;
  bytes: Buffer;
}

/** Yields the lines of a file without their ends. @throws DllmError 65 beyond 64 MiB */
async function* linesOf(path: string): AsyncGenerator<Line> {
  const decoder = new TextDecoder("utf-8", { fatal: true });
  let line = 0;
  const make = (bytes: Buffer): Line => {
    line++;
    try {
      const text = decoder.decode(bytes);
      return { line, text: text.endsWith("\r") ? text.slice(0, -1) : text, bytes };
    } catch {
      return { line, text: undefined, bytes };
    }
  };
  let rest: Buffer[] = [];
  let restBytes = 0;
  for await (const piece of contentOf(path)) {
    let start = 0;
    for (;;) {
      const end = piece.indexOf(NEWLINE, start);
      if (end < 0) break;
      const part = piece.subarray(start, end);
      yield make(rest.length === 0 ? part : Buffer.concat([...rest, part]));
      rest = [];
      restBytes = 0;
      start = end + 1;
    }
    if (start < piece.length) rest.push(piece.subarray(start));
    restBytes += piece.length - start;
    if (restBytes > LONGEST_LINE_BYTES) {
      throw invalidData(`${path}:${line + 1}: a line of more than ${LONGEST_LINE_BYTES} bytes`, [
        "expected one row per line",
      ]);
    }
  }
  if (restBytes > 0) yield make(Buffer.concat(rest));
}

/** One row per line that is not blank. */
export async function* jsonLines(path: string): AsyncGenerator<SourceRow> {
  for await (const { line, text, bytes } of linesOf(path)) {
    const where = `${path}:${line}`;
    if (text === undefined) yield notUtf8(where, bytes);
    else if (text.trim() !== "") yield jsonRow(text, where);
  }
}

/** How many rows `jsonLines` yields, without parsing them. */
export async function countJsonLines(path: string): Promise<number> {
  let rows = 0;
  for await (const { text } of linesOf(path)) if (text === undefined || text.trim() !== "") rows++;
  return rows;
}

/** Returns the row of a line, or what is wrong with it. */
export function jsonRow(text: string, where: string): SourceRow {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    return badRow(where, errorMessage(cause), ["expected JSON"], cause);
  }
  return objectRow(value, where);
}

/** Whether a file that is named like a list has one row per line, as some datasets have it. */
export async function hasJsonLines(path: string): Promise<boolean> {
  for await (const piece of contentOf(path)) return looksLikeLines(piece);
  return false;
}

/** An object that ends on the line on which it begins, with another one after it. */
function looksLikeLines(piece: Buffer): boolean {
  const end = piece.indexOf(NEWLINE);
  if (end < 0 || piece[0] !== 0x7b) return false;
  try {
    JSON.parse(piece.toString("utf8", 0, end));
  } catch {
    return false;
  }
  return piece.toString("utf8", end).trimStart().startsWith("{");
}

/**
 * One row per paragraph (separated by blank lines). DIFFERS: Hugging Face's text loader gives one
 * row per line, which tears the hard-wrapped prose of old books apart
 * (test/data/sources.test.ts).
 */
export async function* paragraphs(path: string): AsyncGenerator<SourceRow> {
  let paragraph: string[] = [];
  let first = 0;
  for await (const { line, text, bytes } of linesOf(path)) {
    if (text === undefined) {
      yield notUtf8(`${path}:${line}`, bytes);
    } else if (text.trim() === "") {
      if (paragraph.length > 0) yield { value: paragraph.join("\n"), where: `${path}:${first}` };
      paragraph = [];
    } else {
      if (paragraph.length === 0) first = line;
      paragraph.push(text);
    }
  }
  if (paragraph.length > 0) yield { value: paragraph.join("\n"), where: `${path}:${first}` };
}
