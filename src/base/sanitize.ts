/** @file Text that is not ours, made safe to print to a terminal. */
import { stripVTControlCharacters } from "node:util";

const LINE_LIMIT = 8192;

// C0 except tab and newline, DEL and C1, and the bidirectional controls: what could move the
// cursor, write the clipboard, or make text read as something else.
const UNSAFE =
  // eslint-disable-next-line no-control-regex
  /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u200e\u200f\u061c\u202a-\u202e\u2066-\u2069]/g;

/**
 * Returns the text without terminal control sequences, control characters and bidirectional
 * overrides, each line cut at 8192 characters. Newlines and tabs stay.
 */
export function sanitize(text: string): string {
  // Cut first: bounds the work on hostile lines.
  return text
    .split("\n")
    .map((line) => (line.length > LINE_LIMIT ? `${line.slice(0, LINE_LIMIT)}…` : line))
    .map((line) => stripVTControlCharacters(line).replace(UNSAFE, ""))
    .join("\n");
}
