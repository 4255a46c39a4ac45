/**
 * @file Text rows to chunks of equal length for pretraining.
 * Source: ZHZisZZ/dllm@ca17675 dllm/utils/data.py tokenize_and_group.
 */
import type { Tokenizer } from "./tokenizer.js";

export interface ChunkSettings {
  maxLength: number;
  /** Ends each row with the eos token, unless it already does. */
  insertEos: boolean;
  /** Drops what does not fill the last chunk of each batch of rows. */
  dropTail: boolean;
  /** Wraps each row in [CLS] and [SEP]; the reference never does. */
  addSpecialTokens?: boolean;
}

/** Rows per call of the mapped function: `Dataset.map(batched=True)` of Hugging Face datasets. */
export const MAP_BATCH_ROWS = 1000;

/**
 * Returns the chunks of one batch of rows: all tokens one after another, cut every maxLength.
 *
 * DIFFERS: the reference asserts that the eos id is truthy and so fails for BERT, whose eos is
 * [PAD] with id 0; here that id is inserted like any other (test/data/tokenizer.test.ts).
 */
export function chunkBatch(
  texts: readonly string[],
  tokenizer: Tokenizer,
  { maxLength, insertEos, dropTail, addSpecialTokens = false }: ChunkSettings,
): number[][] {
  const tokens: number[] = [];
  for (const text of texts) {
    const ids = tokenizer.encode(text, { addSpecialTokens });
    for (const id of ids) tokens.push(id);
    if (insertEos && ids.at(-1) !== tokenizer.eosId) tokens.push(tokenizer.eosId);
  }
  return cutChunks(tokens, { maxLength, dropTail }).map(({ start, end }) =>
    tokens.slice(start, end),
  );
}

/** Returns where the tokens of a batch are cut. */
export function cutChunks(
  tokens: ArrayLike<number>,
  { maxLength, dropTail }: Pick<ChunkSettings, "maxLength" | "dropTail">,
): { start: number; end: number }[] {
  const end = dropTail ? tokens.length - (tokens.length % maxLength) : tokens.length;
  return Array.from({ length: Math.ceil(end / maxLength) }, (_, i) => ({
    start: i * maxLength,
    end: Math.min((i + 1) * maxLength, end),
  }));
}

/**
 * Yields the chunks of all rows, batch by batch: a tail is dropped once per 1000 rows, as the
 * reference does with one process.
 */
export function* chunkTexts(
  texts: readonly string[],
  tokenizer: Tokenizer,
  settings: ChunkSettings,
): Generator<{ rowsDone: number; chunks: number[][] }> {
  for (let start = 0; start < texts.length; start += MAP_BATCH_ROWS) {
    const batch = texts.slice(start, start + MAP_BATCH_ROWS);
    yield { rowsDone: start + batch.length, chunks: chunkBatch(batch, tokenizer, settings) };
  }
}
