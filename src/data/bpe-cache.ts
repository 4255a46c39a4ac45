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

// About 50 MB of short strings; a text of millions of words has fewer different ones.
const MOST_WORDS = 200_000;
const LONGEST_WORD = 64;

/**
 * Makes the pre-tokenizer hand on words as they stand in the text, and the model spell out and
 * merge only those that it has not met yet. The tokens are the same.
 */
export function cacheWords(preTokenizer: ByteLevelPreTokenizer, model: BpeModel): void {
  const spell = preTokenizer.pre_tokenize_text.bind(preTokenizer);
  const merge = model.encode.bind(model);
  const known = new Map<string, readonly string[]>();
  preTokenizer.pre_tokenize_text = (text) => text.match(preTokenizer.pattern!) ?? [];
  model.encode = (words) => {
    const tokens: string[] = [];
    for (const word of words) {
      let found = known.get(word);
      if (found === undefined) {
        found = merge(spell(word));
        if (word.length <= LONGEST_WORD) {
          if (known.size >= MOST_WORDS) known.clear();
          known.set(word, found);
        }
      }
      for (const token of found) tokens.push(token);
    }
    return tokens;
  };
}
