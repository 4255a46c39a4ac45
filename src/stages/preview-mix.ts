/** @file The samples of a preview as one mix: tokenised, with what became of their rows. */
import { basename } from "node:path";
import { DllmError } from "../base/errors.js";
import type { ChatMessage } from "../data/chat-template.js";
import type { TokenRow } from "../data/token-dataset.js";
import { TokenShards } from "../data/token-shards.js";
import { tokenizeBatch, type TokenizeItem } from "../data/tokenize-rows.js";
import type { Tokenizer } from "../data/tokenizer.js";
import type { PreviewSource } from "../report/preview-view.js";
import {
  chatRows,
  chunks,
  sourceStatistics,
  sum,
  tokenizeSettings,
  type DataParams,
  type MixTokens,
} from "./mix-rows.js";
import type { SampledRow } from "./preview-rows.js";
import type { Sample } from "./preview-sample.js";
import { itemOf } from "./tokenize-mix.js";

export interface SampledMix {
  samples: readonly Sample[];
  tokens: MixTokens;
  items: readonly TokenizeItem[];
  wheres: readonly string[];
  /** Number in the mix of the row after the last one of each sample. */
  ends: readonly number[];
  problems: readonly string[];
}

const SHOWN_PROBLEMS = 3;

/** Returns the rows of all samples as tokens, bad ones as rows that are dropped. */
export function tokenizeSamples(
  samples: readonly Sample[],
  tokenizer: Tokenizer,
  params: DataParams,
): SampledMix {
  const items: TokenizeItem[] = [];
  const wheres: string[] = [];
  const ends: number[] = [];
  const problems: string[] = [];
  for (const sample of samples) {
    for (const row of sample.rows) {
      const item = itemOf(sample, row, params);
      const isBad = item instanceof DllmError;
      if (isBad) problems.push([item.message, ...item.details].join("; "));
      items.push(isBad ? null : item);
      wheres.push(basename(row.where));
    }
    ends.push(items.length);
  }
  const shards = new TokenShards();
  shards.addBatches([tokenizeBatch(tokenizer, tokenizeSettings(params), items)]);
  const indexOf = Int32Array.from(items, (_, i) => i);
  const shown = problems.slice(0, SHOWN_PROBLEMS);
  return { samples, tokens: { shards, indexOf }, items, wheres, ends, problems: shown };
}

/** Yields the conversations that training sees. */
export function* keptRows(mix: SampledMix, ids: readonly number[]): Generator<SampledRow> {
  for (const id of ids) {
    for (const row of chatRows(mix.tokens, [id])) {
      const source = mix.samples[mix.ends.findIndex((end) => id < end)]!.name;
      const messages = mix.items[id] as readonly ChatMessage[];
      yield { ...row, source, where: mix.wheres[id]!, messages };
    }
  }
}

/** Yields the chunks of texts; one may hold the end of a text and the beginning of the next. */
export function* chunkRows(
  mix: SampledMix,
  ids: readonly number[],
  params: Extract<DataParams, { task: "text" }>,
): Generator<SampledRow> {
  const source = mix.samples.map(({ name }) => name).join(" + ");
  let number = 0;
  for (const chunk of chunks(mix.tokens, ids, params)) {
    yield { ...chunk, source, where: `chunk ${++number}` };
  }
}

/** Returns what became of the rows of each sample. */
export function sourcesOf(
  { samples, ends, tokens }: SampledMix,
  ids: readonly number[],
): PreviewSource[] {
  const named = samples.map(({ name }, i) => ({ name, end: ends[i]! }));
  const statistics = sourceStatistics(named, "train", { ids, mix: tokens });
  let first = 0;
  return samples.map(({ name, rows, isWhole }, i) => {
    const lengths = ids.slice(first, ends[i]).map((id) => tokens.shards.row(id).all);
    lengths.sort((a, b) => a - b);
    // A source without rows has no statistics.
    const found = rows.length === 0 ? undefined : statistics.shift()!;
    first = ends[i]!;
    return {
      name,
      sampledRows: rows.length,
      isWhole,
      keptRows: found?.rows ?? 0,
      droppedRows: found?.dropped ?? 0,
      truncatedRows: found?.truncated ?? 0,
      badRows: found?.bad ?? 0,
      tokens: found?.tokens ?? 0,
      trainedTokens: found?.trained_tokens ?? 0,
      lengthHistogram: found?.length_histogram ?? [],
      medianLength: lengths[Math.floor(lengths.length / 2)] ?? 0,
      longestLength: lengths.at(-1) ?? 0,
    };
  });
}

/** Returns how many chunks there are, and what of the tokens is in none. */
export function chunksOf(
  { tokens }: SampledMix,
  ids: readonly number[],
  rows: readonly TokenRow[],
) {
  const all = sum(ids.map((id) => tokens.shards.row(id).length));
  const kept = sum(rows.map((row) => row.ids.length));
  return { rows: rows.length, droppedShare: all === 0 ? 0 : 1 - kept / all };
}
