/**
 * @file The rows of datasets without weights: one dataset after another, again and again without
 * end, each pass in another order of datasets and files.
 */
import {
  filesOfPass,
  noRow,
  orderOfPass,
  readAhead,
  rowsOfPass,
  START_OF_PASS,
  type PassPosition,
  type Place,
  type PositionedRow,
  type StreamSource,
} from "./stream-source.js";

export interface JoinedPosition extends PassPosition {
  /** How many times all files were read. */
  pass: number;
}

/** The files of a pass, in order. */
function orderOf(sources: readonly StreamSource[], seed: number, pass: number): Place[] {
  return orderOfPass([...sources.entries()], { seed, pass, sample: 0 }).flatMap(
    ([number, source]) => filesOfPass(source, { number, seed, pass }),
  );
}

/** Yields rows from a position on, without end. @throws DllmError 65 when there is none at all */
export async function* joinedRows(
  sources: readonly StreamSource[],
  seed: number,
  from: JoinedPosition = { pass: 0, ...START_OF_PASS },
): AsyncGenerator<PositionedRow<JoinedPosition>> {
  let { pass, ...at }: JoinedPosition = from;
  const read = readAhead();
  for (let files = orderOf(sources, seed, pass); ; pass++, at = START_OF_PASS) {
    const following = orderOf(sources, seed, pass + 1);
    let isEmpty = at.place === 0 && at.row === 0;
    for await (const { row, source, next } of rowsOfPass(
      { files, after: following[0], read },
      at,
    )) {
      isEmpty = false;
      yield { row, reader: source.reader, next: { pass, ...next } };
    }
    if (isEmpty) throw noRow(sources);
    files = following;
  }
}
