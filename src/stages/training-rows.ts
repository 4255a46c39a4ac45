/** @file The rows of a training stage: the train split of its data, or the stream that it names. */
import { DllmError, ExitCode } from "../base/errors.js";
import { removePath, temporaryPath } from "../base/fs.js";
import { openStream } from "../data/stream/open-stream.js";
import { readStream, writeStream } from "../data/stream/stream-state.js";
import { openTokenDataset, type DatasetInfo, type TokenDataset } from "../data/token-dataset.js";
import type { TrainParams } from "../plan/params.js";
import type { StageContext } from "../plan/stage.js";
import { streamedRows, type StepRows } from "../train/step-rows.js";

export interface TrainingRows {
  train: TokenDataset | StepRows;
  /** For people: how many there are. */
  description: string;
  /** Writes what a checkpoint needs to go on with the next row. */
  writePosition(directory: string): Promise<void>;
  close(): Promise<void>;
}

/**
 * Returns the rows of a training, from the position of a checkpoint on.
 * @throws DllmError 65 when there is none
 */
export async function openTrainingRows(
  context: StageContext,
  { stream: spec }: DatasetInfo,
  checkpoint: string | undefined,
): Promise<TrainingRows> {
  const { job } = context;
  if (spec === undefined) {
    const train = await openTokenDataset(context.input("data"), "train");
    if (train.rows === 0) throw noRow(job.id);
    const nothing = () => Promise.resolve();
    // A row is a function of its step.
    return { train, description: `${train.rows} rows`, writePosition: nothing, close: nothing };
  }
  const { train: settings } = job.params as unknown as TrainParams;
  const from = checkpoint === undefined ? undefined : await readStream(checkpoint);
  // Beside the output: what a killed attempt leaves there goes when the next one begins.
  const scratch = temporaryPath(context.outputDirectory);
  const stream = await openStream(
    {
      spec,
      locations: job.locations,
      scratch,
      tokenizer: context.input("tokenizer"),
      ...(from !== undefined && { from: from.state }),
    },
    (line) => context.log(line),
  );
  const rows = streamedRows(stream, settings.batch_size, from);
  return {
    train: rows,
    description: `a stream of ${spec.sources.map(({ name }) => name).join(" + ")}`,
    writePosition: async (directory) => writeStream(directory, await rows.checkpoint()),
    async close() {
      await stream.close();
      await removePath(scratch);
    },
  };
}

function noRow(stage: string): DllmError {
  return new DllmError(`stage ${stage}: the training split has no row`, {
    exitCode: ExitCode.invalidInput,
    details: ["see the prepare stage's statistics: rows may all be too long, or the text empty"],
  });
}
