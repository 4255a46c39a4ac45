/** @file Cutting answers out of canvases. */
import { expect, test } from "vitest";
import { infillTrim, sampleTrim, type AnswerTokenizer } from "../../src/sample/trim.js";

// Ids are code points; 0 is both pad and eos, 1 the mask.
const tokenizer: AnswerTokenizer = {
  decode: (ids, { skipSpecialTokens }) =>
    String.fromCodePoint(...[...ids].filter((id) => !skipSpecialTokens || id > 1)),
  padId: 0,
  eosId: 0,
  eosToken: "[PAD]",
};
const idsOf = (text: string): number[] => [...text].map((letter) => letter.codePointAt(0)!);
const prompt = idsOf("Q:");
const trim = (...tail: number[]): string => sampleTrim(tokenizer, [...prompt, ...tail], prompt);

test("an answer ends at the first eos id, eos token or end marker, and is not stripped", () => {
  expect(trim(...idsOf(" yes\n"), 0, ...idsOf("no"))).toBe(" yes\n");
  expect(trim(...idsOf("yes\n[/Answer]\n\nmore"))).toBe("yes\n");
  expect(trim(...idsOf("a[PAD]b[/Answer]"))).toBe("a");
  expect(trim(0, ...idsOf("late"))).toBe("");
});

test("left-over masks are dropped", () => {
  expect(trim(...idsOf("a"), 1, ...idsOf("b"))).toBe("ab");
});

test("left padding is skipped", () => {
  expect(sampleTrim(tokenizer, [0, 0, ...prompt, ...idsOf("ok")], prompt)).toBe("ok");
});

test("infilled text is what stood at the masks", () => {
  const input = [...idsOf("a"), 1, ...idsOf("c"), 1, 1];
  const sequence = [...idsOf("abcd"), 0];
  expect(infillTrim(tokenizer, { sequence, input, maskId: 1 })).toBe("bd");
});
