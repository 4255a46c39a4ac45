/**
 * @file Text or conversations to token rows: which rows of which source go to which split is
 * decided by their numbers, then they are tokenised in the order of their files, and the splits
 * are put together from the tokens.
 */
import { DllmError, ExitCode } from "../base/errors.js";
import type { JsonObject } from "../base/json.js";
import { interleave, weightsOf } from "../data/mix.js";
import { limitSplits, mergeSplits, withTestSplit } from "../data/splits.js";
import type { StageContext } from "../plan/stage.js";
import { tokenizeSettings, type DataParams } from "./mix-rows.js";
import { openSources, type MixSource } from "./open-sources.js";
import { prepareStream } from "./prepare-stream.js";
import { tokenizeMix } from "./tokenize-mix.js";
import { finishDataset, writeSplit, type PreparedMix, type WrittenSplits } from "./write-split.js";

export async function prepareData(context: StageContext, params: DataParams): Promise<JsonObject> {
  if (params.task === "text" && params.streaming) return prepareStream(context, params);
  const isChat = params.task === "chat";
  const textField = isChat ? "text" : params.text_field;
  const sources = await openSources(context, params.sources, textField);
  const splits = chooseRows(sources, params);
  const mix = await tokenizeMix(context, {
    sources,
    needed: allRows(splits),
    keepLines: new Set(isChat ? Object.entries(splits).flatMap(heldOut) : []),
    settings: tokenizeSettings(params),
    badRows: params,
  });
  try {
    return await writeSplits(context, params, { sources, splits, mix });
  } finally {
    mix.shards.close();
    await mix.lines.close();
  }
}

/** Rows of a split to their numbers, in the order of training. */
type MixSplits = Readonly<Record<string, readonly number[]>>;

const heldOut = ([split, rows]: [string, readonly number[]]): readonly number[] =>
  split === "train" ? [] : rows;

function* allRows(splits: MixSplits): Generator<number> {
  for (const rows of Object.values(splits)) yield* rows;
}

/** Splits, limits and joins the sources: by their numbers alone, before anything is read. */
function chooseRows(sources: readonly MixSource[], params: DataParams): MixSplits {
  const parts = sources.map(({ name, rows, params: { options, max_samples: most } }) => {
    const limited = limitSplits(withTestSplit(rows, params.test_fraction, params.seed), options, {
      dataset: name,
    });
    if (most === undefined) return limited;
    return Object.fromEntries(
      Object.entries(limited).map(([split, ids]) => [split, ids.slice(0, most)]),
    );
  });
  const weights = weightsOf(sources.map(({ params: source }) => source));
  if (weights === undefined) return mergeSplits(parts);
  const names = [...new Set(parts.flatMap((splits) => Object.keys(splits)))];
  return Object.fromEntries(
    names.map((split, number) => [
      split,
      split === "train"
        ? interleave(
            parts.map((splits, i) => ({ rows: splits[split] ?? [], weight: weights[i]! })),
            {
              stopping: params.stopping_strategy ?? "first_exhausted",
              seed: params.seed,
              split: number,
            },
          )
        : // What is measured is seen once.
          mergeSplits(parts.map((splits) => ({ [split]: splits[split] ?? [] })))[split]!,
    ]),
  );
}

async function writeSplits(
  context: StageContext,
  params: DataParams,
  { splits, ...prepared }: PreparedMix & { splits: MixSplits },
): Promise<JsonObject> {
  if (splits["train"] === undefined) {
    throw new DllmError("the datasets have no train split", {
      exitCode: ExitCode.invalidInput,
      details: [`found: ${Object.keys(splits).join(", ") || "none"}`],
    });
  }
  const written: WrittenSplits = { splits: {}, sources: [] };
  for (const [split, ids] of Object.entries(splits)) {
    await writeSplit(context, params, { ...prepared, split, ids, written });
  }
  return finishDataset(context, params, written);
}
