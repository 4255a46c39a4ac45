/**
 * @file Byte-level BPE of @huggingface/tokenizers 0.2.0 with its answers kept by word. Text is
 * made of few different words: what one becomes is looked up by the word itself, before its bytes
 * are spelt out and merged, which is where the library spends its time.
 */

/** What of the library is used here; its objects take methods of their own. */
interface ByteLevelPreTokenizer {
  pre_tokenize_text(text: string): string[];
  pattern?: RegExp;
}
interface BpeModel {
  encode(tokens: string[]): string[];
}

// About 25 MB of short strings per thread, in two generations: words that come up again outlive
// the many that come up once (numbers, names).
const WORDS_PER_GENERATION = 50_000;
const LONGEST_WORD = 64;

/**
 * Makes the pre-tokenizer hand on words as they stand in the text, and the model spell out and
 * merge only those that it has not met yet. The tokens are the same.
 */
export function cacheWords(preTokenizer: ByteLevelPreTokenizer, model: BpeModel): void {
  const spell = preTokenizer.pre_tokenize_text.bind(preTokenizer);
  const merge = model.encode.bind(model);
  let recent = new Map<string, readonly string[]>();
  let older = new Map<string, readonly string[]>();
  const tokensOf = (word: string): readonly string[] => {
    let found = recent.get(word);
    if (found !== undefined) return found;
    found = older.get(word) ?? merge(spell(word));
    if (word.length > LONGEST_WORD) return found;
    if (recent.size >= WORDS_PER_GENERATION) {
      older = recent;
      recent = new Map();
    }
    recent.set(word, found);
    return found;
  };
  preTokenizer.pre_tokenize_text = (text) => text.match(preTokenizer.pattern!) ?? [];
  model.encode = (words) => {
    const tokens: string[] = [];
    for (const word of words) for (const token of tokensOf(word)) tokens.push(token);
    return tokens;
  };
}
