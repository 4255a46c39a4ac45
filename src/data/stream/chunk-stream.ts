/**
 * @file An endless stream of chunks: rows tokenised a thousand at a time, cut as in preparing, and
 * shuffled in a buffer that gives one chunk at random for each that comes in.
 * Sources: ZHZisZZ/dllm@ca17675 examples/bert/pt.py (streaming); huggingface/datasets 4.2
 * iterable_dataset.py BufferShuffledExamplesIterable.
 */
import { DllmError } from "../../base/errors.js";
import { randomStream } from "../../base/random.js";
import { invalidData } from "../formats/row.js";
import { cutChunks, MAP_BATCH_ROWS } from "../text-chunks.js";
import { tokenizeBatch } from "../tokenize-rows.js";
import type { Tokenizer } from "../tokenizer.js";
import type { RowPosition, StreamedRow, StreamSources } from "./stream-rows.js";
import { SHUFFLE_BUFFER_CHUNKS, type StreamSpec } from "./stream-spec.js";

/** Where a stream is, exactly: with it another one gives the same chunks from there on. */
export interface ChunkStreamState {
  /** First row of the batch of rows at hand; undefined at the very beginning. */
  start: RowPosition | undefined;
  /** Chunks of that batch that have gone into the buffer. */
  given: number;
  /** Chunks that have come out of it. */
  draws: number;
  /** Rows before the batch, and how many of them were bad. */
  rows: number;
  badRows: number;
  /** int32 chunks. */
  buffer: readonly Int32Array[];
}

export const NEW_STREAM: ChunkStreamState = {
  start: undefined,
  given: 0,
  draws: 0,
  rows: 0,
  badRows: 0,
  buffer: [],
};

/** Lets timers and signals run between them. */
const TOKENIZE_ROWS = 32;

export interface ChunkStream {
  /** The next chunk: int32 [max_length], or fewer for a tail that is not dropped. */
  next(): Promise<Int32Array>;
  state(): ChunkStreamState;
}

/** Returns the stream from a state on. */
export function chunkStream(
  sources: StreamSources,
  { spec, tokenizer, bufferChunks = SHUFFLE_BUFFER_CHUNKS }: ChunkStreamOptions,
  from: ChunkStreamState = NEW_STREAM,
): ChunkStream {
  const rows = sources.rows(from.start);
  const buffer = [...from.buffer];
  let { start, given, draws, rows: rowsBefore, badRows: badBefore } = from;
  let batch: Batch | undefined;

  async function read(): Promise<Batch> {
    const found = await readBatch(rows, spec, tokenizer);
    checkBadRows(spec, rowsBefore + found.rows, badBefore + found.badRows);
    return found;
  }

  async function nextChunk(): Promise<Int32Array> {
    batch ??= await read();
    // A batch may be too short for a single chunk.
    const pass = start?.pass ?? 0;
    for (let empty = 0; given >= batch.chunks.length; empty++) {
      start = batch.next;
      rowsBefore += batch.rows;
      badBefore += batch.badRows;
      const isVoid = empty === LONGEST_VOID || (empty > 0 && batch.next.pass > pass + 1);
      if (isVoid) throw neverAChunk(spec, rowsBefore);
      given = 0;
      batch = await read();
    }
    return batch.chunks[given++]!;
  }

  return {
    async next() {
      while (buffer.length < bufferChunks) buffer.push(await nextChunk());
      const chunk = await nextChunk();
      const stream = randomStream({ seed: spec.seed, purpose: "shuffle", sample: draws++ });
      const index = stream.below(bufferChunks);
      const drawn = buffer[index]!;
      buffer[index] = chunk;
      return drawn;
    },
    state: () => ({
      start,
      given,
      draws,
      rows: rowsBefore,
      badRows: badBefore,
      buffer: [...buffer],
    }),
  };
}

export interface ChunkStreamOptions {
  spec: StreamSpec;
  tokenizer: Tokenizer;
  bufferChunks?: number;
}

interface Batch {
  chunks: readonly Int32Array[];
  next: RowPosition;
  rows: number;
  badRows: number;
}

async function readBatch(
  rows: AsyncGenerator<StreamedRow>,
  spec: StreamSpec,
  tokenizer: Tokenizer,
): Promise<Batch> {
  const settings = { task: "text", insertEos: spec.insert_eos } as const;
  const pieces: Int32Array[] = [];
  let texts: string[] = [];
  let count = 0;
  let badRows = 0;
  let next!: RowPosition; // of the last row that is read
  const flush = (): void => {
    pieces.push(tokenizeBatch(tokenizer, settings, texts).ids);
    texts = [];
  };
  while (count < MAP_BATCH_ROWS) {
    const { value } = await rows.next();
    const streamed = value as StreamedRow; // the rows never end
    count++;
    next = streamed.next;
    const text = textOf(streamed);
    if (typeof text === "string") texts.push(text);
    else if (spec.on_bad_row === "error") throw text;
    else badRows++;
    if (texts.length === TOKENIZE_ROWS) {
      flush();
      await new Promise((resolve) => setImmediate(resolve));
    }
  }
  flush();
  const tokens = concatenate(pieces);
  const cuts = cutChunks(tokens, { maxLength: spec.max_length, dropTail: spec.drop_tail });
  // Copies: a chunk stays in the buffer for long, and must not hold its batch.
  const chunks = cuts.map(({ start, end }) => tokens.slice(start, end));
  return { chunks, next, rows: count, badRows };
}

function textOf({ row, reader }: StreamedRow): string | DllmError {
  if (row.problem !== undefined) return row.problem;
  try {
    return reader.text(row);
  } catch (error) {
    if (error instanceof DllmError) return error;
    throw error;
  }
}

function concatenate(pieces: readonly Int32Array[]): Int32Array {
  const whole = new Int32Array(pieces.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const piece of pieces) {
    whole.set(piece, at);
    at += piece.length;
  }
  return whole;
}

function checkBadRows({ max_bad_row_ratio: ratio }: StreamSpec, rows: number, bad: number): void {
  if (bad <= ratio * rows) return;
  throw invalidData(`${bad} of the first ${rows} rows of the stream are bad`, [
    `expected at most ${ratio * 100} % (max_bad_row_ratio)`,
  ]);
}

// Batches without a chunk; or all rows twice.
const LONGEST_VOID = 100;

function neverAChunk({ max_length: maxLength }: StreamSpec, rows: number): DllmError {
  return invalidData(`${rows} rows of the stream do not make a single chunk of ${maxLength}`, [
    "their texts are empty or too few; lower max_length, or write drop_tail: false",
  ]);
}
