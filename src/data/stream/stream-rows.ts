/**
 * @file The rows of a stream, without end: datasets joined one after another, or interleaved by
 * their weights.
 *
 * DIFFERS: the reference shuffles the order of files once and repeats it, with NumPy's generator;
 * here each pass has an order of its own, by counter-based randomness (test/data/stream.test.ts).
 * As there, a dataset of which only the first rows are taken is read in order.
 */
import { weightsOf } from "../mix.js";
import { rowReader } from "../row-mapping.js";
import { joinedRows, type JoinedPosition } from "./joined-rows.js";
import { mixedRows, type MixedPosition } from "./mixed-rows.js";
import { streamFiles, type StreamWorld } from "./stream-files.js";
import type { PositionedRow, StreamSource } from "./stream-source.js";
import { trainLimits, type StreamSpec } from "./stream-spec.js";

/** Which row comes next: plain data, of the kind of the stream. */
export type RowPosition = JoinedPosition | MixedPosition;

export type StreamedRow = PositionedRow<RowPosition>;

export interface StreamSources {
  /** Yields rows from a position on. @throws DllmError 65 when there is none at all */
  rows(from?: RowPosition): AsyncGenerator<StreamedRow>;
  /** Closes the files that are open. */
  close(): Promise<void>;
}

type RowSpec = Pick<StreamSpec, "sources" | "text_field" | "seed" | "stopping_strategy">;

/** Returns the sources of a stream; nothing is read yet. */
export async function openStreamSources(
  { sources, text_field: textField, seed, stopping_strategy: stopping }: RowSpec,
  world: StreamWorld,
): Promise<StreamSources> {
  const weights = weightsOf(sources);
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
    rows: (from) =>
      weights === undefined
        ? joinedRows(opened, seed, from as JoinedPosition | undefined)
        : mixedRows(
            opened,
            { weights, stopping: stopping ?? "first_exhausted", seed },
            from as MixedPosition | undefined,
          ),
    async close() {
      for (const { files } of opened) await files.closeAll();
    },
  };
}
