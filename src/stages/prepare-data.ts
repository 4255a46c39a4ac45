/**
 * @file Text or conversations to token rows: which rows of which source go to which split is
 * decided by their numbers, then they are tokenised in the order of their files, and the splits
 * are put together from the tokens.
 */
import { join } from "node:path";
import { DllmError, ExitCode } from "../base/errors.js";
import { writeFile } from "../base/fs.js";
import type { JsonObject } from "../base/json.js";
import { interleave } from "../data/mix.js";
import { limitSplits, mergeSplits, withTestSplit } from "../data/splits.js";
import {
  writeDatasetInfo,
  writeTokenSplit,
  type SourceStatistics,
  type SplitInfo,
  type TokenRow,
} from "../data/token-dataset.js";
import { RowState } from "../data/tokenize-rows.js";
import { loadTokenizer } from "../data/tokenizer.js";
import type { StageContext } from "../plan/stage.js";
import {
  chatRows,
  chatStatistics,
  chunks,
  sourceStatistics,
  sum,
  tokenizeSettings,
  type DataParams,
} from "./mix-rows.js";
import { openSources, type MixSource } from "./open-sources.js";
import { tokenizeMix, type TokenizedMix } from "./tokenize-mix.js";

export async function prepareData(context: StageContext, params: DataParams): Promise<JsonObject> {
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
    return Object.fromEntries(
      Object.entries(limited).map(([split, ids]) => [split, ids.slice(0, most ?? Infinity)]),
    );
  });
  const weights = sources.map(({ params: { weight } }) => weight);
  if (weights.every((weight) => weight === undefined)) return mergeSplits(parts);
  const missing = sources[weights.indexOf(undefined)];
  if (missing !== undefined) {
    throw new DllmError(`dataset "${missing.name}" has no weight, and others of the mix have one`, {
      exitCode: ExitCode.invalidInput,
      details: ["give every dataset a weight to interleave them, or none to join them"],
    });
  }
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

interface Prepared {
  sources: readonly MixSource[];
  splits: MixSplits;
  mix: TokenizedMix;
}

async function writeSplits(
  context: StageContext,
  params: DataParams,
  { sources, splits, mix }: Prepared,
): Promise<JsonObject> {
  const { outputDirectory } = context;
  if (splits["train"] === undefined) {
    throw new DllmError("the datasets have no train split", {
      exitCode: ExitCode.invalidInput,
      details: [`found: ${Object.keys(splits).join(", ") || "none"}`],
    });
  }
  const infos: Record<string, SplitInfo> = {};
  const statistics: SourceStatistics[] = [];
  for (const [split, ids] of Object.entries(splits)) {
    const count = { rows: 0, tokens: 0, trained_tokens: 0, longest: 0 };
    const counted = function* (): Generator<TokenRow> {
      const rows = params.task === "chat" ? chatRows(mix, ids) : chunks(mix, ids, params);
      for (const row of rows) {
        count.rows++;
        count.tokens += row.ids.length;
        count.trained_tokens += Math.max(0, row.ids.length - row.promptLength);
        count.longest = Math.max(count.longest, row.ids.length);
        yield row;
      }
    };
    await writeTokenSplit(outputDirectory, split, counted());
    // An evaluation may live with an empty test split, training not with an empty train split.
    if (count.rows === 0 && split === "train") {
      throw new DllmError("no row is left to train on", {
        exitCode: ExitCode.invalidInput,
        details: ["every row was dropped or empty; raise max_length, or check dataset_args"],
      });
    }
    const bySource = sourceStatistics(sources, split, { ids, mix });
    statistics.push(...bySource);
    infos[split] = {
      ...count,
      trained_share: count.tokens === 0 ? 0 : count.trained_tokens / count.tokens,
      source_rows: ids.length,
      ...(params.task === "chat" && chatStatistics(ids, mix)),
      ...(params.on_bad_row === "skip" && { bad: sum(bySource.map(({ bad }) => bad)) }),
    };
    if (params.task === "chat" && split !== "train") {
      const lines = function* (): Generator<Uint8Array> {
        for (const id of ids) {
          const isKept = (mix.shards.row(mix.indexOf[id]!).state & RowState.dropped) === 0;
          if (isKept) yield Buffer.from(`${mix.lines.get(id)!}\n`);
        }
      };
      await writeFile(join(outputDirectory, `${split}.jsonl`), lines());
    }
  }
  const tokenizer = await loadTokenizer(context.input("tokenizer"));
  await writeDatasetInfo(outputDirectory, {
    schema: 1,
    task: params.task,
    splits: infos,
    padding: params.task === "chat" ? "trainable" : "masked",
    max_length: params.max_length,
    vocab_size: tokenizer.vocabSize,
    pad_id: tokenizer.padId,
    sources: statistics,
  });
  return figuresOf(context, infos);
}

/** The statistics flat, for result.json; what is odd goes to the log. */
function figuresOf(
  context: StageContext,
  infos: Readonly<Record<string, SplitInfo>>,
): Record<string, number> {
  const figures: Record<string, number> = {};
  for (const [split, info] of Object.entries(infos)) {
    for (const [statistic, value] of Object.entries(info)) figures[`${split}_${statistic}`] = value;
    if (info["prompt_not_prefix"]) {
      context.log(
        `${split}: in ${info["prompt_not_prefix"]} rows the prompt's tokens are no prefix of the row's`,
      );
    }
    if (info["nothing_trained"]) {
      context.log(`${split}: ${info["nothing_trained"]} truncated rows have nothing to train`);
    }
    if (info["bad"]) context.log(`${split}: ${info["bad"]} bad rows were left out`);
  }
  return figures;
}
