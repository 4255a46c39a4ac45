/** @file A row as it stands in its file, and what may be wrong with it. */
import { DllmError, ExitCode } from "../../base/errors.js";
import type { JsonObject } from "../../base/json.js";

export interface SourceRow {
  /** A text, or a JSON object. */
  value: string | JsonObject;
  /** `path:line` for errors. */
  where: string;
  /** Why the row cannot be used; its value is then empty. */
  problem?: DllmError;
}

/** Returns an error about a file or a row of it. */
export function invalidData(
  message: string,
  details: readonly string[],
  cause?: unknown,
): DllmError {
  return new DllmError(message, { exitCode: ExitCode.invalidInput, details, cause });
}

/** Returns a row that cannot be used. */
export function badRow(
  where: string,
  message: string,
  details: readonly string[],
  cause?: unknown,
): SourceRow {
  return { value: "", where, problem: invalidData(`${where}: ${message}`, details, cause) };
}

/** Bytes that are not text, safe to show. */
function escaped(bytes: Uint8Array): string {
  return Array.from(bytes.subarray(0, 40), (byte) =>
    byte >= 0x20 && byte < 0x7f
      ? String.fromCharCode(byte)
      : `\\x${byte.toString(16).padStart(2, "0")}`,
  ).join("");
}

/** Returns a row whose bytes, or those of one of its columns, are no text. */
export function notUtf8(where: string, bytes: Uint8Array, column?: string): SourceRow {
  const what = column === undefined ? "" : `column "${column}" is `;
  return badRow(where, `${what}not UTF-8 text`, [
    `found: ${escaped(bytes)}${bytes.length > 40 ? "…" : ""}`,
    "convert the file to UTF-8",
  ]);
}

/** Returns a parsed value as a row: only objects are. */
export function objectRow(value: unknown, where: string): SourceRow {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) {
    return { value: value as JsonObject, where };
  }
  return badRow(where, "not a JSON object", ['expected {"text": …} or {"messages": […]}']);
}

/** Returns a value of a typed file as JSON: big integers as numbers, dates as text. */
export function plainValue(value: unknown): unknown {
  if (typeof value === "bigint") return Number(value);
  if (value === null || value === undefined) return null;
  if (typeof value !== "object") return value;
  if (value instanceof Date) return value.toISOString();
  if (ArrayBuffer.isView(value))
    return Array.from(value as unknown as Iterable<unknown>, plainValue);
  if (Array.isArray(value)) return value.map(plainValue);
  if ("toJSON" in value && typeof value.toJSON === "function") {
    const json = (value.toJSON as () => unknown)();
    if (json !== value) return plainValue(json);
  }
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, plainValue(item)]));
}
