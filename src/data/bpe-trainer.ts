/**
 * @file A byte-level BPE trainer: texts to a Hugging Face tokenizer.json.
 * Source: arXiv:1508.07909 (BPE), GPT-2's byte alphabet and pre-tokenisation; order of merges as
 * in huggingface/tokenizers v0.22 (greatest count first, then the smaller pair of ids).
 */

/** GPT-2's pre-tokenisation with Unicode white space, as the Rust library reads `\s`. */
export const byteLevelPattern =
  /'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\p{White_Space}\p{L}\p{N}]+|\p{White_Space}+(?!\P{White_Space})|\p{White_Space}+/gu;

/** The added tokens, in id order after the vocabulary. */
export const specialTokens = ["[UNK]", "[CLS]", "[SEP]", "[PAD]", "[MASK]"] as const;

export const SMALLEST_VOCAB_SIZE = 256 + specialTokens.length;

/** Pairs that occur once teach nothing. */
const MIN_COUNT = 2;

export interface TrainedBpe {
  /** Token text (in the byte alphabet) by id: the 256 bytes, then one per merge. */
  vocabulary: readonly string[];
  /** Pairs of token texts, first merge first. */
  merges: readonly (readonly [string, string])[];
  /** Texts that are one token each; their ids follow the vocabulary's. */
  addedTokens: readonly string[];
}

/** GPT-2's printable stand-in for each byte, by byte. */
function byteCharacters(): string[] {
  const isPrintable = (byte: number): boolean =>
    (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
  let unprintable = 0;
  return Array.from({ length: 256 }, (_, byte) =>
    String.fromCharCode(isPrintable(byte) ? byte : 256 + unprintable++),
  );
}

/**
 * Returns the vocabulary and merges learned from texts.
 *
 * @param vocabSize ids in all, special tokens included: with 2048 the greatest id is 2047, so an
 * embedding of vocab_size rows fits, and a multiple of 64 stays one. Fewer merges are learned
 * where the texts have no more repeated pairs.
 * @param addedTokens texts that are one token each wherever they occur, such as the markers of a
 * chat template; they count in vocabSize
 * @throws RangeError when vocabSize is below SMALLEST_VOCAB_SIZE and the added tokens
 */
export function trainBpe(
  texts: Iterable<string>,
  vocabSize: number,
  addedTokens: readonly string[] = [],
): TrainedBpe {
  const smallest = SMALLEST_VOCAB_SIZE + addedTokens.length;
  if (vocabSize < smallest) {
    throw new RangeError(`trainBpe: vocabSize is ${vocabSize}, at least ${smallest}`);
  }
  const characters = byteCharacters();
  // Ids in the order of the characters, as the Rust trainer sorts its alphabet.
  const vocabulary = [...characters].sort();
  const idOfByte = characters.map((character) => vocabulary.indexOf(character));
  const { words, counts } = countWords(piecesBetween(texts, addedTokens), idOfByte);
  const pairs = new PairTable(words, counts);
  const merges: [string, string][] = [];
  while (vocabulary.length + addedTokens.length + specialTokens.length < vocabSize) {
    const best = pairs.takeBest();
    if (best === undefined) break;
    const [left, right] = best;
    merges.push([vocabulary[left]!, vocabulary[right]!]);
    vocabulary.push(vocabulary[left]! + vocabulary[right]!);
    pairs.merge(left, right, vocabulary.length - 1);
  }
  return { vocabulary, merges, addedTokens };
}

/** The texts without the added tokens in them, as the tokenizer will see them. */
function* piecesBetween(texts: Iterable<string>, addedTokens: readonly string[]): Iterable<string> {
  if (addedTokens.length === 0) yield* texts;
  else {
    const literals = addedTokens.map((token) => token.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"));
    const separator = new RegExp(literals.join("|"), "u");
    for (const text of texts) yield* text.split(separator);
  }
}

/** Splits texts into distinct words of token ids, in order of first appearance. */
function countWords(
  texts: Iterable<string>,
  idOfByte: readonly number[],
): { words: number[][]; counts: number[] } {
  const countOf = new Map<string, number>();
  for (const text of texts) {
    for (const word of text.match(byteLevelPattern) ?? []) {
      countOf.set(word, (countOf.get(word) ?? 0) + 1);
    }
  }
  const encoder = new TextEncoder();
  const words = Array.from(countOf.keys(), (word) =>
    Array.from(encoder.encode(word), (byte) => idOfByte[byte]!),
  );
  return { words, counts: [...countOf.values()] };
}

// A pair of ids as one number; ids stay below 2^20.
const ID_RANGE = 2 ** 20;
const pairKey = (left: number, right: number): number => left * ID_RANGE + right;

interface HeapEntry {
  key: number;
  count: number;
}

/**
 * Counts of adjacent pairs over all words, kept up to date merge by merge: only words that hold
 * the merged pair are touched. The heap is lazy: an entry whose count is outdated is corrected
 * when it comes up.
 */
class PairTable {
  readonly #words: number[][];
  readonly #counts: readonly number[];
  readonly #countOf = new Map<number, number>();
  /** Words in which a pair occurs or once occurred. */
  readonly #wordsOf = new Map<number, Set<number>>();
  readonly #heap: HeapEntry[] = [];

  constructor(words: number[][], counts: readonly number[]) {
    this.#words = words;
    this.#counts = counts;
    words.forEach((word, index) => {
      for (let i = 0; i + 1 < word.length; i++) {
        this.#add(pairKey(word[i]!, word[i + 1]!), index, counts[index]!);
      }
    });
    for (const [key, count] of this.#countOf) this.#push({ key, count });
  }

  /** The most frequent pair, the smaller ids first among equals. */
  takeBest(): [left: number, right: number] | undefined {
    for (;;) {
      const top = this.#pop();
      if (top === undefined || top.count < MIN_COUNT) return undefined;
      const count = this.#countOf.get(top.key) ?? 0;
      if (count === top.count) return [Math.floor(top.key / ID_RANGE), top.key % ID_RANGE];
      if (count > 0) this.#push({ key: top.key, count });
    }
  }

  merge(left: number, right: number, merged: number): void {
    const key = pairKey(left, right);
    const grown = new Set<number>();
    for (const index of this.#wordsOf.get(key) ?? []) {
      const word = this.#words[index]!;
      const weight = this.#counts[index]!;
      const change = (a: number | undefined, b: number | undefined, by: number): void => {
        if (a === undefined || b === undefined) return;
        const pair = pairKey(a, b);
        this.#add(pair, index, by);
        if (by > 0) grown.add(pair);
      };
      for (let i = 0; i + 1 < word.length; i++) {
        if (word[i] !== left || word[i + 1] !== right) continue;
        change(word[i - 1], left, -weight);
        change(right, word[i + 2], -weight);
        word.splice(i, 2, merged);
        change(word[i - 1], merged, weight);
        change(merged, word[i + 1], weight);
      }
    }
    this.#countOf.delete(key);
    this.#wordsOf.delete(key);
    for (const pair of grown) {
      const count = this.#countOf.get(pair);
      if (count !== undefined && count > 0) this.#push({ key: pair, count });
    }
  }

  #add(key: number, wordIndex: number, by: number): void {
    this.#countOf.set(key, (this.#countOf.get(key) ?? 0) + by);
    if (by < 0) return;
    let words = this.#wordsOf.get(key);
    if (words === undefined) this.#wordsOf.set(key, (words = new Set()));
    words.add(wordIndex);
  }

  #push(entry: HeapEntry): void {
    const heap = this.#heap;
    let at = heap.push(entry) - 1;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!comesFirst(entry, heap[parent]!)) break;
      heap[at] = heap[parent]!;
      at = parent;
    }
    heap[at] = entry;
  }

  #pop(): HeapEntry | undefined {
    const heap = this.#heap;
    const top = heap[0];
    const last = heap.pop();
    if (heap.length === 0 || last === undefined) return top;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && comesFirst(heap[child + 1]!, heap[child]!)) child++;
      if (!comesFirst(heap[child]!, last)) break;
      heap[at] = heap[child]!;
      at = child;
    }
    heap[at] = last;
    return top;
  }
}

const comesFirst = (a: HeapEntry, b: HeapEntry): boolean =>
  a.count > b.count || (a.count === b.count && a.key < b.key);

/** The files of a tokenizer directory, by name, except the chat template. */
export interface TokenizerFiles {
  "tokenizer.json": object;
  "tokenizer_config.json": object;
  "special_tokens_map.json": object;
}

/**
 * Returns the contents of a tokenizer directory in Hugging Face format. As in the reference's
 * saved tokenizers, eos and bos are [PAD].
 */
export function bpeTokenizerFiles({ vocabulary, merges, addedTokens }: TrainedBpe): TokenizerFiles {
  const added = [...addedTokens, ...specialTokens].map((content, i) => ({
    id: vocabulary.length + i,
    content,
    single_word: false,
    lstrip: content === "[MASK]",
    rstrip: false,
    normalized: false,
    special: i >= addedTokens.length,
  }));
  const idOf = (token: string): number => added.find(({ content }) => content === token)!.id;
  const special = (token: string): object => ({ SpecialToken: { id: token, type_id: 0 } });
  const sequence = (id: "A" | "B"): object => ({ Sequence: { id, type_id: 0 } });
  const template = (token: string): object => ({ id: token, ids: [idOf(token)], tokens: [token] });
  const byteLevel = { type: "ByteLevel", add_prefix_space: false, trim_offsets: true };
  const roles = {
    unk_token: "[UNK]",
    cls_token: "[CLS]",
    sep_token: "[SEP]",
    pad_token: "[PAD]",
    mask_token: "[MASK]",
    eos_token: "[PAD]",
    bos_token: "[PAD]",
  };
  return {
    "tokenizer.json": {
      version: "1.0",
      truncation: null,
      padding: null,
      added_tokens: added,
      normalizer: null,
      pre_tokenizer: { ...byteLevel, use_regex: true },
      post_processor: {
        type: "TemplateProcessing",
        single: [special("[CLS]"), sequence("A"), special("[SEP]")],
        pair: [special("[CLS]"), sequence("A"), special("[SEP]"), sequence("B"), special("[SEP]")],
        special_tokens: { "[CLS]": template("[CLS]"), "[SEP]": template("[SEP]") },
      },
      decoder: { ...byteLevel, use_regex: true },
      model: {
        type: "BPE",
        dropout: null,
        unk_token: null,
        continuing_subword_prefix: null,
        end_of_word_suffix: null,
        fuse_unk: false,
        byte_fallback: false,
        ignore_merges: false,
        vocab: Object.fromEntries(vocabulary.map((token, id) => [token, id])),
        merges,
      },
    },
    "tokenizer_config.json": {
      added_tokens_decoder: Object.fromEntries(added.map(({ id, ...token }) => [id, token])),
      ...roles,
      // Byte-level text is decoded as it was; removing spaces before punctuation would change it.
      clean_up_tokenization_spaces: false,
      model_input_names: ["input_ids", "attention_mask"],
      padding_side: "right",
      tokenizer_class: "PreTrainedTokenizerFast",
    },
    "special_tokens_map.json": roles,
  };
}
