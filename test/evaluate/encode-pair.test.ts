/** @file Encoding pairs, above all the clean mode, which the reference does not have. */
import { describe, expect, test } from "vitest";
import { bpeTokenizerFiles, trainBpe } from "../../src/data/bpe-trainer.js";
import { chatRow } from "../../src/data/chat-rows.js";
import { createTokenizer } from "../../src/data/tokenizer.js";
import { encodePair, type EncodePairMode } from "../../src/evaluate/encode-pair.js";

// "cats" and " cat" are words of its own.
const files = bpeTokenizerFiles(trainBpe(["cats cats cats a cat a cat"], 300));
const tokenizer = createTokenizer({
  name: "t.json",
  json: JSON.parse(JSON.stringify(files["tokenizer.json"])) as never,
  config: files["tokenizer_config.json"] as never,
});

/** Both sides as text. */
function encode(mode: EncodePairMode, context: string, continuation: string): [string, string] {
  const { prefix, target } = encodePair(tokenizer, { context, continuation }, mode);
  return [tokenizer.decode(prefix), tokenizer.decode(target)];
}

describe("clean mode", () => {
  test.each([
    ["a", " cat", ["a", " cat"]],
    ["a ", "cat", ["a", " cat"]],
    ["a\n", "cat", ["a\n", "cat"]],
    ["", "cat", ["", "cat"]],
    ["a cat", "", ["a cat", ""]],
    ["a c", "at", ["a", " cat"]],
  ])("%j, %j", (context, continuation, wanted) => {
    expect(encode("clean", context, continuation)).toEqual(wanted);
  });

  test("gives the tokens of a training row, up to the end of the answer", () => {
    const question = { role: "user", content: "a cat" };
    const answer = { role: "assistant", content: "cats" };
    const row = chatRow([question, answer], tokenizer, { maskPromptLoss: true });
    const context = tokenizer.renderChat([question], { addGenerationPrompt: true });
    const { prefix, target } = encodePair(tokenizer, { context, continuation: "cats" }, "clean");
    expect(prefix).toEqual(row.ids.slice(0, row.promptLength));
    expect(target.length).toBeGreaterThan(0);
    expect(target).toEqual(row.ids.slice(prefix.length, prefix.length + target.length));
  });
});

test("faithful mode differs: special tokens, and the first token is lost", () => {
  expect(encode("faithful", "a", " cat cats")).toEqual(["[CLS]a[SEP]", " cats[SEP]"]);
  expect(encode("faithful", "a\n", "cat")).toEqual(["[CLS]a[SEP]", "cat[SEP]"]);
  expect(encode("faithful", "a", "")).toEqual(["[CLS]a[SEP]", ""]);
});
