/** @file What is read while training, as plain data: part of `dataset.json`, given to a thread. */
import type {
  BadRowSettings,
  PrepareTextParams,
  SourceParams,
  StoppingStrategy,
} from "../../plan/params.js";

export interface StreamSpec
  extends
    BadRowSettings,
    Pick<PrepareTextParams, "text_field" | "max_length" | "insert_eos" | "drop_tail" | "seed"> {
  sources: readonly SourceParams[];
  /** Of a weighted mix. */
  stopping_strategy?: StoppingStrategy;
}

/**
 * Chunks that are shuffled among each other: the buffer of `IterableDataset.shuffle`, at its
 * default size. Source: huggingface/datasets 4.2 iterable_dataset.py.
 */
export const SHUFFLE_BUFFER_CHUNKS = 1000;

/** What a source with limits gives: rows after the first `skip`, at most `most`. */
export interface RowLimits {
  skip: number;
  most: number;
}

/**
 * Returns which rows of a source's files of the training split are trained on. Of a single split
 * the test rows come first, as in the reference's streaming loader.
 */
export function trainLimits(
  { options, max_samples: maxSamples = Infinity }: SourceParams,
  splits: readonly string[],
): RowLimits {
  const { train, test } = options;
  return {
    skip: splits.includes("test") || typeof test !== "number" ? 0 : test,
    most: Math.min(maxSamples, typeof train === "number" ? train : Infinity),
  };
}
