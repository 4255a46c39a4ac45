/**
 * @file The rows of a stream: file after file, dataset after dataset, again and again without
 * end, each pass in another order of datasets and files.
 *
 * DIFFERS: the reference shuffles the order of files once and repeats it, with NumPy's generator;
 * here each pass has an order of its own, by counter-based randomness (test/data/stream.test.ts).
 * As there, a dataset of which only the first rows are taken is read in order.
 */
import { randomPermutation } from "../../base/random.js";
import type { SourceParams } from "../../plan/params.js";
import { invalidData, type SourceRow } from "../formats/row.js";
import { stableRows } from "../open-source.js";
import { rowReader, type RowReader } from "../row-mapping.js";
import { streamFiles, type StreamFiles, type StreamWorld } from "./stream-files.js";
import { trainLimits, type RowLimits, type StreamSpec } from "./stream-spec.js";

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
}

interface Source {
  params: SourceParams;
  files: StreamFiles;
  reader: RowReader;
  limits: RowLimits;
}

/** Returns the sources of a stream; nothing is read yet. */
export async function openStreamSources(
  { sources, text_field: textField, seed }: Pick<StreamSpec, "sources" | "text_field" | "seed">,
  world: StreamWorld,
): Promise<StreamSources> {
  const opened: Source[] = [];
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
  return { rows: (from) => endlessRows(opened, seed, from) };
}

interface Place {
  source: Source;
  name: string;
}

/** The files of a pass, in order. */
function orderOf(sources: readonly Source[], seed: number, pass: number): Place[] {
  const shuffled = <Item>(items: readonly Item[], sample: number): Item[] =>
    // Epoch 0 is that of the buffer's draws.
    Array.from(
      randomPermutation(items.length, { seed, purpose: "shuffle", epoch: pass + 1, sample }),
      (i) => items[i]!,
    );
  return shuffled([...sources.entries()], 0).flatMap(([number, source]) => {
    const names = source.files.names("train");
    const isLimited = source.limits.skip > 0 || source.limits.most < Infinity;
    return (isLimited ? names : shuffled(names, number + 1)).map((name) => ({ source, name }));
  });
}

async function* endlessRows(
  sources: readonly Source[],
  seed: number,
  from: RowPosition,
): AsyncGenerator<StreamedRow> {
  let { pass, place, row: first, seen } = from;
  for (; ; pass++, place = 0) {
    const order = orderOf(sources, seed, pass);
    let isEmpty = place === 0 && first === 0;
    for (; place < order.length; place++, first = 0) {
      const { source, name } = order[place]!;
      const { reader, limits } = source;
      if (first === 0 && order[place - 1]?.source !== source) seen = 0;
      if (seen >= limits.skip + limits.most) continue;
      const path = await source.files.open(name);
      const after = order[place + 1];
      // Its failure is reported when it is read.
      after?.source.files.open(after.name).catch(() => undefined);
      let row = first;
      for await (const value of stableRows(path, first)) {
        row++;
        if (source.params.options["lang"] !== undefined) {
          if (value.problem !== undefined || !reader.isWanted(value)) continue;
        }
        const index = seen++;
        if (index < limits.skip) continue;
        if (index >= limits.skip + limits.most) break;
        isEmpty = false;
        yield { row: value, reader, next: { pass, place, row, seen } };
      }
    }
    if (isEmpty) {
      throw invalidData("the datasets have no row to train on", [
        `read: ${sources.map(({ params }) => params.name).join(", ")}`,
      ]);
    }
  }
}
