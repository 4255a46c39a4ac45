/**
 * @file What the tokens of a row stand for: the text that each adds, and whether that is of a
 * message or of the template around it. For people to look at: training needs none of it.
 */
import { pythonStrip, type ChatMessage } from "./chat-template.js";
import type { Tokenizer } from "./tokenizer.js";

const BROKEN = "\ufffd";
// A character of UTF-8 has at most four bytes, and so many tokens.
const LONGEST_CHARACTER = 4;

/**
 * Returns the text that each token adds to those before it; where a character takes several
 * tokens the first one has it and the others are empty.
 */
export function tokenTexts(tokenizer: Tokenizer, ids: ArrayLike<number>): string[] {
  const texts: string[] = [];
  const decode = (tokens: readonly number[]): string =>
    tokenizer.decode(tokens, { cleanUp: false });
  let before: number[] = [];
  let pending: number[] = [];
  for (let i = 0; i < ids.length; i++) {
    pending.push(ids[i]!);
    const isOpen = decode(pending).includes(BROKEN) && pending.length < LONGEST_CHARACTER;
    if (isOpen && i < ids.length - 1) continue;
    // Decoded behind its neighbour: some tokenizers write a space between them, some do not.
    const prefix = decode(before);
    const both = decode([...before, ...pending]);
    texts.push(both.startsWith(prefix) ? both.slice(prefix.length) : decode(pending));
    for (let j = 1; j < pending.length; j++) texts.push("");
    before = pending;
    pending = [];
  }
  return texts;
}

/** Letters as tokenizers that normalise leave them, without spaces. */
function letters(text: string): string {
  return text
    .normalize("NFKD")
    .toLowerCase()
    .replace(/[\s\p{M}]/gu, "");
}

/**
 * Returns which tokens of a rendered conversation are the template's, by looking for the
 * messages in the rendering and for the tokens' texts in both.
 * @param texts as tokenTexts returns them
 */
export function templateTokens(
  rendered: string,
  messages: readonly ChatMessage[],
  texts: readonly string[],
): boolean[] {
  /** Of each letter of the rendering: the message that it belongs to, -1 for the template. */
  const owners: number[] = [];
  let plain = "";
  const add = (text: string, owner: number): void => {
    const added = letters(text);
    plain += added;
    for (let i = 0; i < added.length; i++) owners.push(owner);
  };
  let at = 0;
  messages.forEach(({ content }, message) => {
    const text = pythonStrip(content);
    const start = text === "" ? -1 : rendered.indexOf(text, at);
    if (start < 0) return;
    add(rendered.slice(at, start), -1);
    add(text, message);
    at = start + text.length;
  });
  add(rendered.slice(at), -1);

  let next = 0;
  return texts.map((text) => {
    const part = letters(text);
    const owner = owners[next] ?? -1;
    if (part === "") {
      // White space, or the rest of a character: of a message only in the middle of one.
      const last = owners[next - 1] ?? -1;
      return text !== "" ? last < 0 || owner !== last : last < 0;
    }
    const found = plain.startsWith(part, next) ? next : plain.indexOf(part, next);
    // Text that the tokenizer has no token for cannot be found: it moves nothing.
    if (found < 0 || found > next + FARTHEST) return owner < 0;
    next = found + part.length;
    return owners[found]! < 0;
  });
}

// How many letters unknown tokens may have swallowed.
const FARTHEST = 64;
