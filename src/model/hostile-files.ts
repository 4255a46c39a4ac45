/**
 * @file Opening and parsing files that are not ours: regular files only, reads that never end
 * short, JSON without what JSON.parse lets pass, errors that say what was found and expected.
 */
import { open, stat } from "node:fs/promises";
import type { FileHandle } from "node:fs/promises";
import { DllmError, errorCode, ExitCode } from "../base/errors.js";

// One positioned read or write; Linux transfers at most 2 GiB - 4 KiB at a time.
export const PIECE_BYTES = 1 << 30;
// The header of a safetensors file is an object of objects with an array or a map of strings in them.
const MAX_DEPTH = 8;

/** The error of a file that is not what it must be: file, what was found, what was expected. */
export function invalid(path: string, found: string, expected: string, cause?: unknown): DllmError {
  return new DllmError(`${path}: ${found}`, {
    exitCode: ExitCode.invalidInput,
    details: [`expected ${expected}`],
    cause,
  });
}

/** Quotes a name that is not ours: control and bidi characters never reach a terminal. */
export function quote(name: string): string {
  const text = name.length > 200 ? `${name.slice(0, 200)}…` : name;
  return JSON.stringify(text).replace(
    /[\u007f-\u009f\u200e\u200f\u2028-\u202e\u2066-\u2069]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}

/**
 * Finds what JSON.parse lets pass or cannot bear: a repeated key in one object, and deep
 * nesting. Expects nothing of the text; syntax errors are left to JSON.parse.
 */
function findJsonHazard(text: string): string | undefined {
  // One entry per open bracket: the keys seen in an object, undefined for an array.
  const open: (Set<string> | undefined)[] = [];
  for (let i = 0; i < text.length; i++) {
    const character = text[i];
    if (character === "{" || character === "[") {
      open.push(character === "{" ? new Set() : undefined);
      if (open.length > MAX_DEPTH) return `nesting deeper than ${MAX_DEPTH}`;
    } else if (character === "}" || character === "]") {
      open.pop();
    } else if (character === '"') {
      const start = i;
      for (i++; i < text.length && text[i] !== '"'; i++) if (text[i] === "\\") i++;
      let after = i + 1;
      while (" \t\r\n".includes(text[after] ?? "-")) after++;
      const keys = open.at(-1);
      if (text[after] !== ":" || keys === undefined) continue;
      let key: unknown;
      try {
        key = JSON.parse(text.slice(start, i + 1));
      } catch {
        return undefined;
      }
      if (keys.has(String(key))) return `key ${quote(String(key))} twice in one object`;
      keys.add(String(key));
    }
  }
  return undefined;
}

/** Parses JSON bytes that are not ours. @throws DllmError 65 naming `path` and `what`. */
export function parseHostileJson(path: string, what: string, bytes: Buffer): unknown {
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (cause) {
    throw invalid(path, `the ${what} is not valid UTF-8`, "UTF-8 JSON", cause);
  }
  const hazard = findJsonHazard(text);
  if (hazard !== undefined) {
    throw invalid(path, `the ${what} has ${hazard}`, "flat JSON with each key once");
  }
  try {
    return JSON.parse(text);
  } catch (cause) {
    const start = quote(text.slice(0, 40));
    throw invalid(path, `the ${what} is not JSON (it begins ${start})`, "a JSON object", cause);
  }
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Fills `target` from `position`. @throws DllmError 65 when the file ends before. */
export async function readFully(
  file: FileHandle,
  path: string,
  target: Uint8Array,
  position: number,
): Promise<void> {
  let done = 0;
  while (done < target.byteLength) {
    const length = Math.min(PIECE_BYTES, target.byteLength - done);
    const { bytesRead } = await file.read(target, done, length, position + done);
    if (bytesRead === 0) {
      throw invalid(
        path,
        `the file ended at byte ${position + done} while being read`,
        `${target.byteLength} bytes from ${position}`,
      );
    }
    done += bytesRead;
  }
}

/** Opens a file of weights for reading. @throws DllmError 66 when absent, 65 when no file. */
export async function openRegularFile(path: string): Promise<{ file: FileHandle; size: number }> {
  try {
    // Before opening: opening a FIFO would wait for a writer.
    if (!(await stat(path)).isFile()) throw invalid(path, "is not a regular file", "a file");
    const file = await open(path, "r");
    return { file, size: (await file.stat()).size };
  } catch (cause) {
    const code = errorCode(cause);
    if (code === "ENOENT" || code === "ENOTDIR") {
      throw new DllmError(`${path}: no such file`, { exitCode: ExitCode.notFound, cause });
    }
    if (code === "EACCES" || code === "EPERM") {
      throw new DllmError(`${path}: not readable`, { exitCode: ExitCode.noPermission, cause });
    }
    throw cause;
  }
}
