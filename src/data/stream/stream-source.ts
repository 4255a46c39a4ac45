/** @file The datasets of a stream: their files in the order of a pass, and the rows of a pass. */
import { randomPermutation } from "../../base/random.js";
import type { SourceParams } from "../../plan/params.js";
import { invalidData, type SourceRow } from "../formats/row.js";
import { stableRows } from "../open-source.js";
import type { RowReader } from "../row-mapping.js";
import type { StreamFiles } from "./stream-files.js";
import type { RowLimits } from "./stream-spec.js";

export interface StreamSource {
  params: SourceParams;
  files: StreamFiles;
  reader: RowReader;
  limits: RowLimits;
}

/** A row as a stream gives it. */
export interface PositionedRow<Position> {
  row: SourceRow;
  reader: RowReader;
  /** The position of the row after it. */
  next: Position;
}

/** A file of a source. */
export interface Place {
  source: StreamSource;
  name: string;
}

/** Returns items in the order of a pass. @param sample which of the orders of that pass */
export function orderOfPass<Item>(
  items: readonly Item[],
  { seed, pass, sample }: { seed: number; pass: number; sample: number },
): Item[] {
  // Epoch 0 is that of the buffer's draws.
  const key = { seed, purpose: "shuffle", epoch: pass + 1, sample } as const;
  return Array.from(randomPermutation(items.length, key), (i) => items[i]!);
}

/**
 * Returns the training files of a source in the order of a pass: another one each time, but as
 * they are where only some of the rows are taken.
 * @param number of the source in the stream
 */
export function filesOfPass(
  source: StreamSource,
  { number, seed, pass }: { number: number; seed: number; pass: number },
): Place[] {
  const { files, limits } = source;
  const names = files.names("train");
  const isLimited = limits.skip > 0 || limits.most < Infinity;
  const ordered = isLimited ? names : orderOfPass(names, { seed, pass, sample: number + 1 });
  return ordered.map((name) => ({ source, name }));
}

/** Whether no row is taken any more after so many. */
function isDone({ limits: { skip, most } }: StreamSource, seen: number): boolean {
  return seen >= skip + most;
}

/** Which row of a pass comes next: plain data. */
export interface PassPosition {
  /** Which file of the pass, in its order. */
  place: number;
  /** Row of the file. */
  row: number;
  /** Rows of the source that were seen in this pass. */
  seen: number;
}

export const START_OF_PASS: PassPosition = { place: 0, row: 0, seen: 0 };

export interface PassRow {
  row: SourceRow;
  source: StreamSource;
  /** The position of the row after it. */
  next: PassPosition;
}

export interface PassFiles {
  files: readonly Place[];
  /** The file that is read after them. */
  after: Place | undefined;
  read: ReadAhead;
}

/** Yields the rows of a pass that are trained on, from a position on. */
export async function* rowsOfPass(
  { files, after, read }: PassFiles,
  from: PassPosition,
): AsyncGenerator<PassRow> {
  let { place, row, seen } = from;
  for (; place < files.length; place++, row = 0) {
    const at = files[place]!;
    const { source } = at;
    if (row === 0 && files[place - 1]?.source !== source) seen = 0;
    if (isDone(source, seen)) continue;
    const path = await read(at, files[place + 1] ?? after);
    for await (const value of stableRows(path, row)) {
      row++;
      if (source.params.options["lang"] !== undefined) {
        if (value.problem !== undefined || !source.reader.isWanted(value)) continue;
      }
      if (isDone(source, seen)) break;
      if (seen++ >= source.limits.skip) yield { row: value, source, next: { place, row, seen } };
    }
  }
}

/** Opens a file to be read, and meanwhile the next one; closes those that it opened before. */
export type ReadAhead = (at: Place, next: Place | undefined) => Promise<string>;

/** Returns a reader of files that has at most two of them open. */
export function readAhead(): ReadAhead {
  let held: readonly Place[] = [];
  const isSame = (a: Place) => (b: Place) => a.source === b.source && a.name === b.name;
  return async (at, next) => {
    const wanted = next === undefined ? [at] : [at, next];
    const read = held.filter((place) => !wanted.some(isSame(place)));
    held = wanted;
    for (const { source, name } of read) await source.files.close(name);
    const path = await at.source.files.open(at.name);
    // Its failure is reported when it is read.
    next?.source.files.open(next.name).catch(() => undefined);
    return path;
  };
}

export function noRow(sources: readonly StreamSource[]): Error {
  return invalidData("the datasets have no row to train on", [
    `read: ${sources.map(({ params }) => params.name).join(", ")}`,
  ]);
}
