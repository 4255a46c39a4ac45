/**
 * @file BERT's text normalisation as the Rust tokenizers library does it, replacing the one of
 * @huggingface/tokenizers 0.2.0, which walks UTF-16 units and so never puts spaces around the CJK
 * ideographs beyond U+FFFF, lower-cases whole texts (a final capital sigma becomes "ς" instead
 * of "σ"), and lower-cases before it strips accents.
 * Source: huggingface/tokenizers v0.22 tokenizers/src/normalizers/bert.rs.
 */

export interface BertNormalizerOptions {
  clean_text: boolean;
  handle_chinese_chars: boolean;
  /** null takes the value of lowercase. */
  strip_accents: boolean | null;
  lowercase: boolean;
}

// Categories Cc, Cf and Co as of Unicode 8, the tables of the Rust library; U+0000 and U+FFFD go
// with them. Tab, line feed and carriage return stay, as white space.
const REMOVED =
  // eslint-disable-next-line no-control-regex
  /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f\u00ad\u0600-\u0605\u061c\u06dd\u070f\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u206f\ufeff\ufff9-\ufffb\ufffd\u{110bd}\u{1bca0}-\u{1bca3}\u{1d173}-\u{1d17a}\u{e0001}\u{e0020}-\u{e007f}\p{Co}\p{Cs}]/gu;
const WHITE_SPACE = /\p{White_Space}/gu;
// The Rust library's ranges, including its gap at 2B820 to 2B91F.
const CHINESE =
  /[\u4e00-\u9fff\u3400-\u4dbf\u{20000}-\u{2a6df}\u{2a700}-\u{2b73f}\u{2b740}-\u{2b81f}\u{2b920}-\u{2ceaf}\uf900-\ufaff\u{2f800}-\u{2fa1f}]/gu;
const NONSPACING_MARK = /\p{Mn}/gu;
const NOT_ASCII = /[^\u0020-\u007e]/u;

/** Returns the normalised text. */
export function normalizeBertText(text: string, options: BertNormalizerOptions): string {
  if (!NOT_ASCII.test(text)) return options.lowercase ? text.toLowerCase() : text;
  if (options.clean_text) text = text.replace(REMOVED, "").replace(WHITE_SPACE, " ");
  if (options.handle_chinese_chars) text = text.replace(CHINESE, " $& ");
  if (options.strip_accents ?? options.lowercase) {
    text = text.normalize("NFD").replace(NONSPACING_MARK, "");
  }
  // Character by character, so that no rule looks at the neighbours.
  return options.lowercase ? Array.from(text, (c) => c.toLowerCase()).join("") : text;
}
