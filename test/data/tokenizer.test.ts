/** @file Tokenizer directories, BERT's normalisation, chat templates: rules and errors. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { normalizeBertText } from "../../src/data/bert-normalizer.js";
import { bpeTokenizerFiles, trainBpe } from "../../src/data/bpe-trainer.js";
import { chatRow, messagesOf } from "../../src/data/chat-rows.js";
import { chatRenderer, defaultChatTemplate, pythonStrip } from "../../src/data/chat-template.js";
import { chunkBatch } from "../../src/data/text-chunks.js";
import {
  createTokenizer,
  loadTokenizer,
  resolvedTokenizerConfig,
} from "../../src/data/tokenizer.js";

const directories: string[] = [];
afterAll(() => directories.forEach((path) => rmSync(path, { recursive: true, force: true })));

function directoryWith(files: Record<string, unknown>): string {
  const directory = mkdtempSync(join(tmpdir(), "dllm-tokenizer-"));
  directories.push(directory);
  for (const [name, content] of Object.entries(files)) {
    const text = typeof content === "string" ? content : JSON.stringify(content);
    writeFileSync(join(directory, name), text);
  }
  return directory;
}

const trained = bpeTokenizerFiles(trainBpe(["a rose is a rose is a rose"], 280));

/** A WordPiece tokenizer whose pad token has id 0, as BERT's. */
const wordPiece = {
  added_tokens: ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"].map((content, id) => ({
    id,
    content,
    special: true,
    normalized: false,
  })),
  normalizer: {
    type: "BertNormalizer",
    clean_text: true,
    handle_chinese_chars: true,
    strip_accents: null,
    lowercase: true,
  },
  pre_tokenizer: { type: "BertPreTokenizer" },
  post_processor: null,
  decoder: { type: "WordPiece", prefix: "##", cleanup: true },
  // No model.type, as in the official file.
  model: {
    unk_token: "[UNK]",
    continuing_subword_prefix: "##",
    vocab: {
      "[PAD]": 0,
      "[UNK]": 1,
      "[CLS]": 2,
      "[SEP]": 3,
      "[MASK]": 4,
      rose: 5,
      "##s": 6,
      "𠀀": 7,
    },
  },
};

describe("a tokenizer directory", () => {
  test("a bare tokenizer.json: model type and special tokens follow from what it holds", async () => {
    const tokenizer = await loadTokenizer(directoryWith({ "tokenizer.json": wordPiece }));
    expect(tokenizer).toMatchObject({ maskId: 4, padId: 0, eosId: 0, bosId: 0, eosToken: "[PAD]" });
    expect(tokenizer.encode("Rosés rose")).toEqual([5, 6, 5]);
    expect(tokenizer.decode([5, 6, 4, 99])).toBe("roses [MASK]");
    expect(tokenizer.decode([])).toBe("");
    expect(tokenizer.chatTemplate).toBe(defaultChatTemplate);
  });

  test("missing eos and bos become pad; a missing pad becomes eos", () => {
    const create = (config: Record<string, unknown>) =>
      createTokenizer({ name: "t.json", json: trained["tokenizer.json"] as never, config });
    const special = { tokenizer_class: "PreTrainedTokenizerFast", mask_token: "[MASK]" };
    expect(create({ ...special, pad_token: "[PAD]" }).eosToken).toBe("[PAD]");
    const own = create({ ...special, eos_token: { content: "[SEP]" }, bos_token: "[CLS]" });
    expect([own.padId, own.eosId, own.bosId].map(own.tokenOf)).toEqual(["[SEP]", "[SEP]", "[CLS]"]);
  });

  test("chat_template.jinja wins over tokenizer_config.json over the default", async () => {
    const config = { ...trained["tokenizer_config.json"], chat_template: "config" };
    const files = { "tokenizer.json": trained["tokenizer.json"], "tokenizer_config.json": config };
    expect((await loadTokenizer(directoryWith(files))).chatTemplate).toBe("config");
    const both = directoryWith({ ...files, "chat_template.jinja": "{{ eos_token }}!" });
    const messages = [{ role: "user", content: "hi" }];
    expect((await loadTokenizer(both)).renderChat(messages)).toBe("[PAD]!");
  });

  test("the saved configuration names every special token in effect", async () => {
    const bare = directoryWith({ "tokenizer.json": wordPiece });
    const { config, specialTokensMap } = await resolvedTokenizerConfig(bare);
    const named = {
      mask_token: "[MASK]",
      pad_token: "[PAD]",
      eos_token: "[PAD]",
      bos_token: "[PAD]",
    };
    expect(config).toMatchObject({ ...named, tokenizer_class: "PreTrainedTokenizerFast" });
    expect(specialTokensMap).toMatchObject({ ...named, cls_token: "[CLS]", unk_token: "[UNK]" });
  });

  test("errors", async () => {
    const load = (files: Record<string, unknown>) => loadTokenizer(directoryWith(files));
    await expect(load({})).rejects.toMatchObject({
      exitCode: 66,
      message: expect.stringMatching(/tokenizer\.json: no such file$/) as string,
    });
    await expect(load({ "tokenizer.json": "{" })).rejects.toMatchObject({ exitCode: 65 });
    await expect(load({ "tokenizer.json": {} })).rejects.toThrow("no model.vocab");
    const noMask = { ...trained["tokenizer_config.json"], mask_token: "[GONE]" };
    await expect(
      load({ "tokenizer.json": trained["tokenizer.json"], "tokenizer_config.json": noMask }),
    ).rejects.toThrow('mask token "[GONE]" is not in the vocabulary');
    const unknown = { ...wordPiece, normalizer: { type: "Rot13" } };
    await expect(load({ "tokenizer.json": unknown })).rejects.toThrow("Rot13");
  });
});

test("BERT's normalisation as the Rust library does it", () => {
  const options = {
    clean_text: true,
    handle_chinese_chars: true,
    strip_accents: null,
    lowercase: true,
  };
  const normalize = (text: string): string => normalizeBertText(text, options);
  expect(normalize("Plain Text 12")).toBe("plain text 12");
  expect(normalize("a𠀀b漢\u{2b820}")).toBe("a 𠀀 b 漢 \u{2b820}");
  expect(normalize("ΟΔΟΣ Ñandú")).toBe("οδοσ nandu");
  expect(normalize("a\u200b\u0000\ufffd\ue000b\u00a0c\u2028d\te")).toBe("ab c d e");
  expect(normalizeBertText("É\u0007", { ...options, clean_text: false, lowercase: false })).toBe(
    "É\u0007",
  );
});

// DIFFERS: the reference asserts that the eos id is truthy and fails.
test("chunks with an eos id of 0", () => {
  const tokenizer = createTokenizer({ name: "t.json", json: wordPiece });
  const settings = { maxLength: 3, insertEos: true, dropTail: false };
  expect(chunkBatch(["rose", "roses", ""], tokenizer, settings)).toEqual([
    [5, 0, 5],
    [6, 0, 0],
  ]);
});

describe("chat rows", () => {
  const question = { role: "user", content: "q" };
  const answer = { role: "assistant", content: "a" };

  test("messages, and Alpaca's fields", () => {
    expect(messagesOf({ messages: [question, answer], skill: "x" }, "f:1")).toEqual([
      question,
      answer,
    ]);
    expect(messagesOf({ instruction: " Add ", input: " 1 2\n", output: "3 " }, "f:1")).toEqual([
      { role: "user", content: "Add\n\n1 2" },
      { role: "assistant", content: "3" },
    ]);
  });

  // DIFFERS: the reference trains on some of these with the wrong tokens masked.
  test.each([
    [{ text: "x" }, 'f.jsonl:7: no "messages" (found: text)'],
    [{ messages: "x" }, 'f.jsonl:7: "messages" is not a list'],
    [{ messages: [answer] }, "f.jsonl:7: 1 messages"],
    [{ messages: [question, question] }, 'f.jsonl:7: the last message is of role "user"'],
    [{ messages: [question, { role: "assistant" }] }, "f.jsonl:7: messages[1] has no"],
  ])("%j", (row, message) => {
    expect(() => messagesOf(row, "f.jsonl:7")).toThrow(message);
  });

  test("a prompt whose tokens are no prefix of the row's is noticed", () => {
    const files = bpeTokenizerFiles(trainBpe(["qs qs qs"], 270));
    const tokenizer = createTokenizer({
      name: "t.json",
      json: JSON.parse(JSON.stringify(files["tokenizer.json"])) as never,
      config: files["tokenizer_config.json"] as never,
      template: "{% for m in messages %}{{ m.content }}{% endfor %}",
    });
    const row = (content: string) =>
      chatRow([question, { role: "assistant", content }], tokenizer, { maskPromptLoss: true });
    expect(row("t")).toMatchObject({ promptLength: 1, promptIsPrefix: true });
    expect(row("s")).toMatchObject({ promptLength: 1, promptIsPrefix: false });
  });
});

test("a template that is none, and one that fails, are the user's errors", () => {
  expect(() => chatRenderer("{% if %}")).toThrow(/^chat template: /);
  const render = chatRenderer("{{ messages[0].content | nonsense }}");
  expect(() => render([{ role: "user", content: "x" }])).toThrow(/^chat template: /);
});

test("white space is stripped as Python does", () => {
  expect(pythonStrip("\u0085\x1c\u3000 a b \n")).toBe("a b");
  expect(pythonStrip("\ufeffa\u200b")).toBe("\ufeffa\u200b");
  expect(pythonStrip(" \n")).toBe("");
});
