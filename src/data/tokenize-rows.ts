/** @file Rows to tokens, a batch at a time: what the tokenizer's threads do. */
import { chatRow, fitRow, trainedTokens } from "./chat-rows.js";
import type { ChatMessage } from "./chat-template.js";
import type { Tokenizer } from "./tokenizer.js";

export type TokenizeSettings =
  | { task: "text"; insertEos: boolean }
  | {
      task: "chat";
      maskPromptLoss: boolean;
      maxLength: number;
      truncation: "right" | "filter";
    };

/** A text, a conversation, or null for a row that cannot be used. */
export type TokenizeItem = string | readonly ChatMessage[] | null;

/** What became of a row, as bits. */
export const RowState = {
  dropped: 1,
  truncated: 2,
  nothingTrained: 4,
  prefixBroken: 8,
  bad: 16,
} as const;

/** Numbers per row in `rows`: tokens kept, prompt length, tokens in all, RowState. */
export const ROW_FIELDS = 4;

export interface TokenizedBatch {
  /** int32, all rows one after another. */
  ids: Int32Array;
  /** uint32 [rows, ROW_FIELDS]. */
  rows: Uint32Array;
}

/** Returns the tokens of some rows. */
export function tokenizeBatch(
  tokenizer: Tokenizer,
  settings: TokenizeSettings,
  items: readonly TokenizeItem[],
): TokenizedBatch {
  const rows = new Uint32Array(items.length * ROW_FIELDS);
  const kept: ArrayLike<number>[] = [];
  let total = 0;
  items.forEach((item, i) => {
    const { ids, promptLength, all, state } = tokenizeItem(tokenizer, settings, item);
    rows.set([ids.length, promptLength, all, state], i * ROW_FIELDS);
    kept.push(ids);
    total += ids.length;
  });
  const ids = new Int32Array(total);
  let at = 0;
  for (const row of kept) {
    ids.set(row, at);
    at += row.length;
  }
  return { ids, rows };
}

function tokenizeItem(
  tokenizer: Tokenizer,
  settings: TokenizeSettings,
  item: TokenizeItem,
): { ids: readonly number[]; promptLength: number; all: number; state: number } {
  if (item === null) {
    return { ids: [], promptLength: 0, all: 0, state: RowState.dropped | RowState.bad };
  }
  if (settings.task === "text") {
    const ids = tokenizer.encode(item as string);
    if (settings.insertEos && ids.at(-1) !== tokenizer.eosId) ids.push(tokenizer.eosId);
    return { ids, promptLength: 0, all: ids.length, state: 0 };
  }
  const row = chatRow(item as readonly ChatMessage[], tokenizer, settings);
  const fitted = fitRow(row, settings);
  const all = row.ids.length;
  if (fitted === undefined) {
    return { ids: [], promptLength: row.promptLength, all, state: RowState.dropped };
  }
  const state =
    (fitted.ids.length < all ? RowState.truncated : 0) |
    (trainedTokens(fitted) === 0 ? RowState.nothingTrained : 0) |
    (row.promptIsPrefix ? 0 : RowState.prefixBroken);
  return { ids: fitted.ids, promptLength: row.promptLength, all, state };
}
