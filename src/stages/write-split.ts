/** @file The splits of a dataset as files of the artifact, with what became of their rows. */
import { join } from "node:path";
import { DllmError, ExitCode } from "../base/errors.js";
import { writeFile } from "../base/fs.js";
import {
  writeDatasetInfo,
  writeTokenSplit,
  type DatasetInfo,
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
  type DataParams,
} from "./mix-rows.js";
import type { MixSource } from "./open-sources.js";
import type { TokenizedMix } from "./tokenize-mix.js";

export interface PreparedMix {
  sources: readonly MixSource[];
  mix: TokenizedMix;
}

/** What has been written so far. */
export interface WrittenSplits {
  splits: Record<string, SplitInfo>;
  sources: SourceStatistics[];
}

/** Writes a split of some rows of a mix, in this order. @throws DllmError 65 for an empty train split */
export async function writeSplit(
  { outputDirectory }: StageContext,
  params: DataParams,
  {
    sources,
    mix,
    split,
    ids,
    written,
  }: PreparedMix & { split: string; ids: readonly number[]; written: WrittenSplits },
): Promise<void> {
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
      details: [
        params.task === "chat"
          ? "every row was dropped or empty; raise max_length, or check dataset_args"
          : `the texts are empty, or make no chunk of ${params.max_length} tokens; lower max_length, or set drop_tail: false`,
      ],
    });
  }
  const bySource = sourceStatistics(sources, split, { ids, mix });
  written.sources.push(...bySource);
  written.splits[split] = {
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
        if (isKept) yield mix.lines.get(id);
      }
    };
    await writeFile(join(outputDirectory, `${split}.jsonl`), lines());
  }
}

/** Writes dataset.json, after the splits. @returns the statistics, for result.json */
export async function finishDataset(
  context: StageContext,
  params: DataParams,
  written: WrittenSplits & Pick<DatasetInfo, "stream">,
): Promise<Record<string, number>> {
  const tokenizer = await loadTokenizer(context.input("tokenizer"));
  await writeDatasetInfo(context.outputDirectory, {
    schema: 1,
    task: params.task,
    ...written,
    padding: params.task === "chat" ? "trainable" : "masked",
    max_length: params.max_length,
    vocab_size: tokenizer.vocabSize,
    pad_id: tokenizer.padId,
  });
  return figuresOf(context, written.splits);
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
