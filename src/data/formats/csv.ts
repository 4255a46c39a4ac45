/** @file Comma- and tab-separated values as of RFC 4180, read piece by piece. */
import { contentOf } from "./bytes.js";
import { badRow, invalidData, type SourceRow } from "./row.js";

const LONGEST_FIELD = 64 << 20;

/** One row per record after the header; fields are texts. */
export async function* csvRows(path: string, separator: string): AsyncGenerator<SourceRow> {
  let header: string[] | undefined;
  let index = 0;
  for await (const fields of recordsOf(path, separator)) {
    if (header === undefined) {
      header = fields;
      continue;
    }
    const where = `${path}[${index++}]`;
    if (fields.length !== header.length) {
      yield badRow(where, `${fields.length} fields, and the header has ${header.length}`, [
        `the header is: ${header.join(separator)}`,
      ]);
    } else {
      const names = header;
      yield { value: Object.fromEntries(fields.map((field, i) => [names[i]!, field])), where };
    }
  }
}

async function* recordsOf(path: string, separator: string): AsyncGenerator<string[]> {
  const decoder = new TextDecoder("utf-8", { fatal: true });
  let record: string[] = [];
  let field = "";
  // Inside quotes; just after a quote that may close them or be one of a pair.
  let quoted = false;
  let afterQuote = false;
  let started = false;
  const decode = (piece?: Buffer): string => {
    try {
      return piece === undefined ? decoder.decode() : decoder.decode(piece, { stream: true });
    } catch (cause) {
      throw invalidData(`${path}: not UTF-8 text`, ["convert the file to UTF-8"], cause);
    }
  };
  function* consume(text: string): Generator<string[]> {
    let from = 0;
    const take = (to: number): void => {
      field += text.slice(from, to);
      if (field.length > LONGEST_FIELD) {
        throw invalidData(`${path}: a field of more than ${LONGEST_FIELD} characters`, [
          "is a quotation mark missing?",
        ]);
      }
    };
    for (let at = 0; at < text.length; at++) {
      const c = text[at]!;
      if (quoted && !afterQuote) {
        if (c !== '"') continue;
        take(at);
        from = at + 1;
        afterQuote = true;
        continue;
      }
      if (afterQuote) {
        afterQuote = false;
        if (c === '"') {
          from = at; // a pair stands for one
          continue;
        }
        quoted = false;
      }
      if (c === '"' && field === "" && from === at) {
        quoted = true;
        started = true;
        from = at + 1;
      } else if (c === separator) {
        take(at);
        record.push(field);
        field = "";
        started = true;
        from = at + 1;
      } else if (c === "\n") {
        take(at > from && text[at - 1] === "\r" ? at - 1 : at);
        if (started || field !== "") yield [...record, field];
        record = [];
        field = "";
        started = false;
        from = at + 1;
      } else {
        started = true;
      }
    }
    take(text.length);
  }
  for await (const piece of contentOf(path)) yield* consume(decode(piece));
  yield* consume(decode());
  if (quoted && !afterQuote) {
    throw invalidData(`${path}: ends inside quotation marks`, ["is the file complete?"]);
  }
  if (started || field !== "") yield [...record, field];
}
