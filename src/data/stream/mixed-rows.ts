/**
 * @file The rows of datasets with weights: interleaved as the prepared mix is, in the same order
 * of datasets, until its stopping rule ends it; then another one from the first rows on, with draws
 * and orders of files of its own.
 */
import { sourceDraws, type StoppingRule } from "../mix.js";
import {
  filesOfPass,
  noRow,
  readAhead,
  rowsOfPass,
  START_OF_PASS,
  type PassPosition,
  type PassRow,
  type PositionedRow,
  type StreamSource,
} from "./stream-source.js";

/** Which row of a source comes next: plain data. */
export interface MixedSourcePosition extends PassPosition {
  /** How many times the source was begun before. */
  pass: number;
  /** Whether it has given its last row in this mix. */
  isExhausted: boolean;
}

export interface MixedPosition {
  /** How many mixes came before. */
  pass: number;
  /** Draws of this one. */
  draws: number;
  /** Of each source, in the order of the recipe. */
  sources: readonly MixedSourcePosition[];
}

export interface MixOptions {
  /** Of each source, in the order of the recipe. */
  weights: readonly number[];
  stopping: StoppingRule;
  seed: number;
}

// The training split is the first one of a prepared mix.
const SPLIT = 0;

/** Yields rows from a position on, without end. @throws DllmError 65 when there is none at all */
export async function* mixedRows(
  sources: readonly StreamSource[],
  { weights, stopping, seed }: MixOptions,
  from?: MixedPosition,
): AsyncGenerator<PositionedRow<MixedPosition>> {
  let { pass, draws } = from ?? { pass: 0, draws: 0 };
  const all: { cursor: SourceCursor; weight: number }[] = [];
  for (const [number, source] of sources.entries()) {
    const cursor = await openCursor(source, { number, seed }, from?.sources[number]);
    all.push({ cursor, weight: weights[number]! });
  }
  const drawn = all.filter(({ cursor }) => !cursor.isEmpty);
  if (drawn.length === 0) throw noRow(sources);
  for (; ; pass++, draws = 0) {
    const exhausted = drawn.map(({ cursor }) => cursor.position().isExhausted);
    const order = sourceDraws(
      drawn.map(({ weight }) => weight),
      { stopping, seed, split: SPLIT, pass, from: { draws, exhausted } },
    );
    while (!order.isOver()) {
      const number = order.next();
      draws++;
      const { cursor } = drawn[number]!;
      const { row, source } = await cursor.next();
      if (cursor.position().isExhausted) order.exhaust(number);
      const positions = all.map((each) => each.cursor.position());
      yield { row, reader: source.reader, next: { pass, draws, sources: positions } };
    }
    for (const { cursor } of drawn) await cursor.begin();
  }
}

/** The rows of a source, begun again when they are over. */
interface SourceCursor {
  /** It never has a row. */
  isEmpty: boolean;
  position(): MixedSourcePosition;
  next(): Promise<PassRow>;
  /** Begins with the first row, for another mix. */
  begin(): Promise<void>;
}

async function openCursor(
  source: StreamSource,
  { number, seed }: { number: number; seed: number },
  from: MixedSourcePosition = { pass: 0, ...START_OF_PASS, isExhausted: false },
): Promise<SourceCursor> {
  const read = readAhead();
  const filesOf = (pass: number) => filesOfPass(source, { number, seed, pass });
  const rowsFrom = ({ pass, ...at }: MixedSourcePosition) =>
    rowsOfPass({ files: filesOf(pass), after: filesOf(pass + 1)[0], read }, at);
  let position = from;
  let rows = rowsFrom(position);
  // One row ahead: the last one must be known when it is given.
  let upcoming = (await rows.next()) as IteratorResult<PassRow, void>;
  async function beginAgain(isExhausted: boolean): Promise<void> {
    // It may be in the middle of a file.
    await rows.return(undefined);
    position = { pass: position.pass + 1, ...START_OF_PASS, isExhausted };
    rows = rowsFrom(position);
    upcoming = await rows.next();
  }
  return {
    isEmpty: upcoming.done === true && from.place === 0 && from.row === 0,
    position: () => position,
    async next() {
      if (upcoming.done) await beginAgain(position.isExhausted);
      const given = upcoming.value as PassRow;
      upcoming = await rows.next();
      const isExhausted = position.isExhausted || upcoming.done === true;
      position = { pass: position.pass, ...given.next, isExhausted };
      return given;
    },
    begin: () => beginAgain(false),
  };
}
