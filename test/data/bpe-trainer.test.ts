/** @file The BPE trainer against a plain recount, and its files read back by the library. */
import { expect, test } from "vitest";
import {
  SMALLEST_VOCAB_SIZE,
  bpeTokenizerFiles,
  byteLevelPattern,
  specialTokens,
  trainBpe,
} from "../../src/data/bpe-trainer.js";
import { createTokenizer, type Tokenizer } from "../../src/data/tokenizer.js";

const rhyme = `The owl and the pussy-cat went to sea in a beautiful pea-green boat,
They took some honey, and plenty of money, wrapped up in a five-pound note.
The owl looked up to the stars above, and sang to a small guitar,
"O lovely pussy! O pussy my love, what a beautiful pussy you are, you are, you are!"`;
const texts = [
  rhyme,
  "aaaa aaaaa banana bananas",
  "1912 1912 193 19",
  "Ähre Ähren — naïve 日本 日本 🦉🦉",
];

function tokenizerFor(trained: ReturnType<typeof trainBpe>): Tokenizer {
  const files = bpeTokenizerFiles(trained);
  // Through text: what the library sees is what is written to disk.
  const reread = (file: keyof typeof files) =>
    JSON.parse(JSON.stringify(files[file])) as Record<string, unknown>;
  return createTokenizer({
    name: "tokenizer.json",
    json: reread("tokenizer.json"),
    config: reread("tokenizer_config.json"),
    specialTokens: reread("special_tokens_map.json"),
  });
}

/** BPE training as its definition says: recount everything before every merge. */
function trainNaively(vocabSize: number): [string, string][] {
  const { vocabulary: bytes } = trainBpe([], SMALLEST_VOCAB_SIZE);
  const base = tokenizerFor({ vocabulary: bytes, merges: [], addedTokens: [] });
  const words = texts.flatMap((text) =>
    (text.match(byteLevelPattern) ?? []).map((word) => base.encode(word).map((id) => bytes[id]!)),
  );
  const vocabulary = [...bytes];
  const merges: [string, string][] = [];
  while (vocabulary.length + specialTokens.length < vocabSize) {
    const counts = new Map<string, { left: number; right: number; count: number }>();
    for (const word of words) {
      for (let i = 0; i + 1 < word.length; i++) {
        const [left, right] = [vocabulary.indexOf(word[i]!), vocabulary.indexOf(word[i + 1]!)];
        const pair = counts.get(`${left},${right}`) ?? { left, right, count: 0 };
        counts.set(`${left},${right}`, { ...pair, count: pair.count + 1 });
      }
    }
    const [best] = [...counts.values()].sort(
      (a, b) => b.count - a.count || a.left - b.left || a.right - b.right,
    );
    if (best === undefined || best.count < 2) break;
    const [left, right] = [vocabulary[best.left]!, vocabulary[best.right]!];
    merges.push([left, right]);
    vocabulary.push(left + right);
    for (const word of words) {
      for (let i = 0; i + 1 < word.length; i++) {
        if (word[i] === left && word[i + 1] === right) word.splice(i, 2, left + right);
      }
    }
  }
  return merges;
}

test("merges are those of a recount before every merge, until nothing repeats", () => {
  const { merges, vocabulary } = trainBpe(texts, 10_000);
  expect(merges.length).toBeGreaterThan(60);
  expect(merges).toEqual(trainNaively(10_000));
  expect(vocabulary).toHaveLength(256 + merges.length);
});

test("vocab_size counts the special tokens, which come last", () => {
  const tokenizer = tokenizerFor(trainBpe(texts, 320));
  expect(tokenizer.vocabSize).toBe(320);
  expect(specialTokens.map((token) => tokenizer.idOf(token))).toEqual([315, 316, 317, 318, 319]);
  expect(tokenizer).toMatchObject({ maskId: 319, padId: 318, eosId: 318, bosId: 318 });
  expect(() => trainBpe(texts, 260)).toThrow("trainBpe: vocabSize is 260, at least 261");
});

test("any text survives encoding and decoding; ids follow the vocabulary", () => {
  const trained = trainBpe(texts, 400);
  const tokenizer = tokenizerFor(trained);
  const samples = [...texts, "unseen: zebra\t\r\n  \u0085\ufeff ½ Ω 👩‍👩‍👧", "", " , . ' s"];
  for (const text of samples) {
    const ids = tokenizer.encode(text);
    expect(tokenizer.decode(ids)).toBe(text);
    expect(ids.map((id) => trained.vocabulary[id])).toEqual(ids.map(tokenizer.tokenOf));
  }
  expect(tokenizer.encode(rhyme).length).toBeLessThan(rhyme.length * 0.7);
  const [cls, ...rest] = tokenizer.encode("a", { addSpecialTokens: true });
  expect([cls, rest.at(-1)]).toEqual([tokenizer.idOf("[CLS]"), tokenizer.idOf("[SEP]")]);
  // [MASK] takes the space before it, as in ModernBERT.
  expect(tokenizer.encode("the [MASK]")).toEqual([...tokenizer.encode("the"), tokenizer.maskId]);
});

test("the order of the texts' words decides nothing but ties; equal texts give equal files", () => {
  const json = (t: string[]): string => JSON.stringify(bpeTokenizerFiles(trainBpe(t, 350)));
  expect(json(texts)).toBe(json(texts));
  expect(json([...texts].reverse())).toBe(json(texts));
  expect(json([...texts, "zzzz zzzz zzzz zzzz zzzz"])).not.toBe(json(texts));
});

test("an added token is one token wherever it occurs, is no special token, and teaches no merge", () => {
  const marked = texts.map((text) => `[/Answer]${text}[/Answer]`);
  const trained = trainBpe(marked, 330, ["[Answer]", "[/Answer]"]);
  expect(trained.merges).toEqual(trainBpe(texts, 328).merges);
  const tokenizer = tokenizerFor(trained);
  const ids = tokenizer.encode("a[Answer]b[/Answer]");
  expect(ids.map(tokenizer.tokenOf)).toEqual(["a", "[Answer]", "b", "[/Answer]"]);
  expect(tokenizer.decode(ids, { skipSpecialTokens: true })).toBe("a[Answer]b[/Answer]");
  expect(tokenizer.vocabSize).toBe(330);
  expect(() => trainBpe(texts, 262, ["[Answer]", "[/Answer]"])).toThrow("at least 263");
});
