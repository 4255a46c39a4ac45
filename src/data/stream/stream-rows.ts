/**
 * @file The rows of a stream: file after file, dataset after dataset, again and again without
 * end, each pass in another order of datasets and files.
 *
 * DIFFERS: the reference shuffles the order of files once and repeats it, with NumPy's generator;
 * here each pass has an order of its own, by counter-based randomness (test/data/stream.test.ts).
 * As there, a dataset of which only the first rows are taken is read in order.
 */
import { invalidData, type SourceRow } from "../formats/row.js";
import { rowReader, type RowReader } from "../row-mapping.js";
import { streamFiles, type StreamWorld } from "./stream-files.js";
import {
  filesOfPass,
  isDone,
  orderOfPass,
  readAhead,
  rowsOfFile,
  type Place,
  type StreamSource,
} from "./stream-source.js";
import { trainLimits, type StreamSpec } from "./stream-spec.js";

/** Which row comes next: plain data. */
export interface RowPosition {
  /** How many times all files were read. */
  pass: number;
  /** Which file of the pass, in its order. */
  place: number;
  /** Row of the file. */
  row: number;
  /** Rows of the dataset that were seen in this pass. */
  seen: number;
}

export const FIRST_ROW: RowPosition = { pass: 0, place: 0, row: 0, seen: 0 };

export interface StreamedRow {
  row: SourceRow;
  reader: RowReader;
  /** The position of the row after it. */
  next: RowPosition;
}

export interface StreamSources {
  /** Yields rows from a position on. @throws DllmError 65 when there is none at all */
  rows(from: RowPosition): AsyncGenerator<StreamedRow>;
  /** Closes the files that are open. */
  close(): Promise<void>;
}

/** Returns the sources of a stream; nothing is read yet. */
export async function openStreamSources(
  { sources, text_field: textField, seed }: Pick<StreamSpec, "sources" | "text_field" | "seed">,
  world: StreamWorld,
): Promise<StreamSources> {
  const opened: StreamSource[] = [];
  for (const params of sources) {
    const { name, config, options } = params;
    const files = await streamFiles(params, world);
    opened.push({
      params,
      files,
      reader: rowReader({ name, config, options, textField }),
      limits: trainLimits(params, files.splits),
    });
  }
  return {
    rows: (from) => endlessRows(opened, seed, from),
    async close() {
      for (const { files } of opened) await files.closeAll();
    },
  };
}

/** The files of a pass, in order. */
function orderOf(sources: readonly StreamSource[], seed: number, pass: number): Place[] {
  return orderOfPass([...sources.entries()], { seed, pass, sample: 0 }).flatMap(
    ([number, source]) => filesOfPass(source, { number, seed, pass }),
  );
}

async function* endlessRows(
  sources: readonly StreamSource[],
  seed: number,
  from: RowPosition,
): AsyncGenerator<StreamedRow> {
  let { pass, place, row: first, seen } = from;
  const read = readAhead();
  for (let order = orderOf(sources, seed, pass); ; pass++, place = 0) {
    const following = orderOf(sources, seed, pass + 1);
    let isEmpty = place === 0 && first === 0;
    for (; place < order.length; place++, first = 0) {
      const at = order[place]!;
      const { source } = at;
      if (first === 0 && order[place - 1]?.source !== source) seen = 0;
      if (isDone(source, seen)) continue;
      const path = await read(at, order[place + 1] ?? following[0]);
      const rows = rowsOfFile(source, path, { row: first, seen });
      for (;;) {
        const { done, value } = await rows.next();
        if (done) {
          seen = value;
          break;
        }
        ({ seen } = value);
        isEmpty = false;
        const next = { pass, place, row: value.row, seen };
        yield { row: value.value, reader: source.reader, next };
      }
    }
    if (isEmpty) throw noRow(sources);
    order = following;
  }
}

function noRow(sources: readonly StreamSource[]): Error {
  return invalidData("the datasets have no row to train on", [
    `read: ${sources.map(({ params }) => params.name).join(", ")}`,
  ]);
}
