/**
 * @file Which rows each optimizer step trains on: those of an epoch's order, or the next ones of
 * a stream.
 */
import { epochOrder } from "../data/epoch-order.js";
import type { OpenStream } from "../data/stream/open-stream.js";
import type { StreamCheckpoint } from "../data/stream/stream-state.js";
import type { NumberedRows, TokenDataset } from "../data/token-dataset.js";
import type { TrainingSettings } from "../recipe/schema.js";

export interface StepRows {
  /** Rows of an epoch; absent where there is none: the rows never end. */
  readonly rows?: number;
  /** The rows of a 0-based step; steps are asked for in order, from where training begins. */
  at(step: number): Promise<{ dataset: NumberedRows; rows: ArrayLike<number>; epoch: number }>;
}

/** Returns the steps of a training on prepared rows, epoch after epoch. */
export function epochRows(
  dataset: TokenDataset,
  { settings, seed, stepsPerEpoch }: EpochOptions,
): StepRows {
  const { batch_size: stepRows, group_by_length: groupByLength, group_rows: batchSize } = settings;
  let order: { epoch: number; rows: Int32Array } | undefined;
  return {
    rows: dataset.rows,
    at(step) {
      const epoch = Math.floor(step / stepsPerEpoch);
      if (order?.epoch !== epoch) {
        const { lengths } = dataset;
        order = { epoch, rows: epochOrder({ lengths, seed, epoch, groupByLength, batchSize }) };
      }
      const first = (step % stepsPerEpoch) * stepRows;
      return Promise.resolve({
        dataset,
        rows: order.rows.subarray(first, first + stepRows),
        epoch,
      });
    },
  };
}

export interface EpochOptions {
  settings: TrainingSettings;
  seed: number;
  stepsPerEpoch: number;
}

/** The steps of a training on a stream. */
export interface StreamedRows extends StepRows {
  /** Where the stream is between two steps. */
  checkpoint(): Promise<StreamCheckpoint>;
}

/**
 * Returns the steps of a training on a stream. Rows are numbered through, and those of the next
 * step are read while one is computed.
 * @param from where the training stopped; the stream was opened with its state
 */
export function streamedRows(
  stream: OpenStream,
  batchSize: number,
  from?: StreamCheckpoint,
): StreamedRows {
  let trained = from?.trained ?? 0;
  let next = from === undefined ? stream.take(batchSize) : Promise.resolve([...from.ahead]);
  // Whoever awaits it sees the failure; until then it is none.
  next.catch(() => undefined);
  return {
    async at() {
      const chunks = await next;
      const first = trained;
      trained += chunks.length;
      next = stream.take(batchSize);
      next.catch(() => undefined);
      return {
        dataset: numberedFrom(first, chunks),
        rows: chunks.map((_, i) => first + i),
        epoch: 0,
      };
    },
    checkpoint: async () => ({ ahead: await next, state: await stream.state(), trained }),
  };
}

/** Chunks as rows of a dataset of which only they are there. */
function numberedFrom(first: number, chunks: readonly Int32Array[]): NumberedRows {
  return {
    padding: "masked",
    ids: (row) => chunks[row - first]!,
    length: (row) => chunks[row - first]!.length,
    promptLength: () => 0,
  };
}
