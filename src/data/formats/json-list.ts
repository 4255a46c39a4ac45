/** @file A JSON list of rows, one row in memory at a time. */
import { errorMessage } from "../../base/errors.js";
import { contentOf } from "./bytes.js";
import { invalidData, notUtf8, objectRow, type SourceRow } from "./row.js";

const LONGEST_ROW_BYTES = 64 << 20;

const code = (character: string): number => character.charCodeAt(0);
const QUOTE = code('"');
const BACKSLASH = code("\\");
const COMMA = code(",");
const LIST_START = code("[");
const LIST_END = code("]");
const OPENING = new Set([LIST_START, code("{")]);
const CLOSING = new Set([LIST_END, code("}")]);
const BLANK = new Set([..." \t\r\n"].map(code));
const BYTE_ORDER_MARK = [0xef, 0xbb, 0xbf];

/** Yields the rows of a list. @throws DllmError 65 for what is no list, and where it breaks off */
export async function* jsonList(path: string): AsyncGenerator<SourceRow> {
  const decoder = new TextDecoder("utf-8", { fatal: true });
  let index = 0;
  for await (const bytes of itemsOf(path)) {
    const where = `${path}[${index++}]`;
    let text: string | undefined;
    try {
      text = decoder.decode(bytes);
    } catch {
      yield notUtf8(where, bytes);
      continue;
    }
    let value: unknown;
    try {
      value = JSON.parse(text);
    } catch (cause) {
      throw invalidData(`${where}: ${errorMessage(cause)}`, ["expected JSON"], cause);
    }
    yield objectRow(value, where);
  }
}

/** Yields the text of each item of a list: cut at its commas, and not looked at closer. */
async function* itemsOf(path: string): AsyncGenerator<Buffer> {
  let place = "before" as "before" | "inside" | "behind";
  let depth = 0;
  let isString = false;
  let isEscaped = false;
  let items = 0;
  let rest: Buffer[] = [];
  let restBytes = 0;
  const take = (last: Buffer): Buffer => {
    const item = rest.length === 0 ? last : Buffer.concat([...rest, last]);
    rest = [];
    restBytes = 0;
    items++;
    return item;
  };
  for await (const piece of contentOf(path)) {
    let start = 0;
    for (let at = 0; at < piece.length; at++) {
      const byte = piece[at]!;
      if (isString) {
        if (isEscaped) isEscaped = false;
        else if (byte === BACKSLASH) isEscaped = true;
        else if (byte === QUOTE) isString = false;
      } else if (place !== "inside") {
        if (BLANK.has(byte)) continue;
        if (place === "before" && BYTE_ORDER_MARK.includes(byte)) continue;
        if (place === "behind" || byte !== LIST_START)
          throw notAList(path, place === "before" ? "not a list of rows" : "more behind the list");
        place = "inside";
        start = at + 1;
      } else if (byte === QUOTE) {
        isString = true;
      } else if (OPENING.has(byte)) {
        depth++;
      } else if (CLOSING.has(byte) && depth > 0) {
        depth--;
      } else if (depth === 0 && (byte === COMMA || byte === LIST_END)) {
        const item = take(piece.subarray(start, at));
        const isEmptyList = byte !== COMMA && items === 1 && item.every((each) => BLANK.has(each));
        if (!isEmptyList) yield item;
        start = at + 1;
        if (byte !== COMMA) place = "behind";
      }
    }
    if (place !== "inside") continue;
    rest.push(piece.subarray(start));
    restBytes += piece.length - start;
    if (restBytes > LONGEST_ROW_BYTES) {
      throw invalidData(`${path}[${items}]: a row of more than ${LONGEST_ROW_BYTES} bytes`, [
        "expected a list of rows, [{…}, {…}]",
      ]);
    }
  }
  if (place === "before") throw notAList(path, "nothing in it");
  if (place === "inside") {
    throw invalidData(`${path}[${items}]: the list breaks off here`, [
      "expected JSON; is the file complete?",
    ]);
  }
}

function notAList(path: string, found: string) {
  return invalidData(`${path}: ${found}`, ['expected [{…}, {…}]; use ".jsonl" for lines']);
}
