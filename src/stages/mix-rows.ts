/**
 * @file From the tokens of a mix to the rows that training sees, and what became of the rows that
 * it does not see. What a preview shows comes from here too.
 */
import { MAP_BATCH_ROWS, cutChunks } from "../data/text-chunks.js";
import type { SourceStatistics, TokenRow } from "../data/token-dataset.js";
import { RowState, type TokenizeSettings } from "../data/tokenize-rows.js";
import type { PrepareChatParams, PrepareTextParams } from "../plan/params.js";
import type { MixSource } from "./open-sources.js";
import type { TokenizedMix } from "./tokenize-mix.js";

export type DataParams = PrepareTextParams | PrepareChatParams;

/** The tokens of a mix, and where a row's are. */
export type MixTokens = Pick<TokenizedMix, "shards" | "indexOf">;

/** Returns how the rows of a stage become tokens. */
export function tokenizeSettings(params: DataParams): TokenizeSettings {
  return params.task === "chat"
    ? {
        task: "chat",
        maskPromptLoss: params.mask_prompt_loss,
        maxLength: params.max_length,
        truncation: params.truncation,
      }
    : { task: "text", insertEos: params.insert_eos };
}

export const sum = (values: readonly number[]): number =>
  values.reduce((total, value) => total + value, 0);

/** Yields the rows of conversations that training sees. */
export function* chatRows(
  { shards, indexOf }: MixTokens,
  ids: readonly number[],
): Generator<TokenRow> {
  for (const id of ids) {
    const row = shards.row(indexOf[id]!);
    if (row.state & RowState.dropped) continue;
    yield { ids: row.ids(), promptLength: row.promptLength };
  }
}

/**
 * Yields the chunks of texts: a tail is dropped once per 1000 rows, as the reference does with one process.
 */
export function* chunks(
  { shards, indexOf }: MixTokens,
  ids: readonly number[],
  { max_length: maxLength, drop_tail: dropTail }: PrepareTextParams,
): Generator<TokenRow> {
  for (let start = 0; start < ids.length; start += MAP_BATCH_ROWS) {
    const rows = ids.slice(start, start + MAP_BATCH_ROWS).map((id) => shards.row(indexOf[id]!));
    const tokens = new Int32Array(sum(rows.map(({ length }) => length)));
    let at = 0;
    for (const row of rows) {
      tokens.set(row.ids(), at);
      at += row.length;
    }
    for (const cut of cutChunks(tokens, { maxLength, dropTail })) {
      yield { ids: tokens.subarray(cut.start, cut.end), promptLength: 0 };
    }
  }
}

/** Returns what became of the rows of a split. */
export function chatStatistics(ids: readonly number[], { shards, indexOf }: MixTokens) {
  const count = { dropped: 0, truncated: 0, nothing_trained: 0, prompt_not_prefix: 0 };
  for (const id of ids) {
    const { state } = shards.row(indexOf[id]!);
    if (state & RowState.dropped) count.dropped++;
    if (state & RowState.truncated) count.truncated++;
    if (state & RowState.nothingTrained) count.nothing_trained++;
    if (state & RowState.prefixBroken) count.prompt_not_prefix++;
  }
  return count;
}

/** Returns what each source gave to a split. */
export function sourceStatistics(
  sources: readonly Pick<MixSource, "name" | "end">[],
  split: string,
  { ids, mix: { shards, indexOf } }: { ids: readonly number[]; mix: MixTokens },
): SourceStatistics[] {
  const all = sources.map(({ name }) => ({
    name,
    split,
    source_rows: 0,
    rows: 0,
    dropped: 0,
    truncated: 0,
    bad: 0,
    tokens: 0,
    trained_tokens: 0,
    length_histogram: [] as number[],
  }));
  for (const id of ids) {
    const counts = all[sources.findIndex(({ end }) => id < end)]!;
    const { state, length, promptLength, all: whole } = shards.row(indexOf[id]!);
    counts.source_rows++;
    const bucket = Math.floor(Math.log2(Math.max(1, whole)));
    while (counts.length_histogram.length <= bucket) counts.length_histogram.push(0);
    counts.length_histogram[bucket]!++;
    if (state & RowState.bad) counts.bad++;
    if (state & RowState.dropped) counts.dropped++;
    else counts.rows++;
    if (state & RowState.truncated) counts.truncated++;
    counts.tokens += length;
    counts.trained_tokens += Math.max(0, length - promptLength);
  }
  return all.filter(({ source_rows: rows }) => rows > 0);
}
