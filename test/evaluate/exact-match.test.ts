/** @file Exact match on a stand-in model: which prompts and masks the model is given. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { bpeTokenizerFiles, SMALLEST_VOCAB_SIZE, trainBpe } from "../../src/data/bpe-trainer.js";
import { loadTokenizer, type Tokenizer } from "../../src/data/tokenizer.js";
import { exactMatch } from "../../src/evaluate/exact-match.js";
import type { SamplerSettings } from "../../src/recipe/schema.js";
import { fakeModel } from "../sample/fake-model.js";

let directory: string;
let tokenizer: Tokenizer;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "dllm-exact-match-"));
  const files = bpeTokenizerFiles(trainBpe([], SMALLEST_VOCAB_SIZE));
  for (const [name, content] of Object.entries(files)) {
    await writeFile(join(directory, name), JSON.stringify(content));
  }
  tokenizer = await loadTokenizer(directory);
});
afterAll(() => rm(directory, { recursive: true, force: true }));

const NEW_TOKENS = 2;
const sampler: SamplerSettings = {
  max_new_tokens: NEW_TOKENS,
  block_size: NEW_TOKENS,
  steps: 1,
  temperature: 0,
  remasking: "low_confidence",
  stochastic_transfer: false,
  cfg_scale: 0,
  attention_mask: "row",
};
const user = (content: string) => ({ role: "user" as const, content });
const rows = ["longer", "q[PAD]"].map((content, index) => ({
  index,
  messages: [user(content), { role: "assistant" as const, content: "ok" }],
}));

/** Evaluates with a model that says "ok" after every prompt. */
async function evaluate(promptSpecialTokens: boolean, changes: Partial<SamplerSettings> = {}) {
  const answer = tokenizer.encode("ok");
  const model = fakeModel(tokenizer.vocabSize, (row, column, id) => {
    const start = row.indexOf(tokenizer.maskId);
    return id === answer[column - start] ? 9 : 0;
  });
  const { results, samples } = await exactMatch({
    model,
    tokenizer,
    rows,
    promptSpecialTokens,
    sampler: { ...sampler, ...changes },
    batchSize: 2,
    seed: 0,
  });
  const { inputIds, seq, attentionMask } = model.requests[0]!;
  const prompts = [0, seq].map((start) => {
    const row = inputIds.subarray(start, start + seq);
    return tokenizer.decode(row.subarray(0, row.indexOf(tokenizer.maskId)));
  });
  const hidden = [...(attentionMask ?? [])].flatMap((value, i) => (value === 0 ? [i % seq] : []));
  return { results, samples, prompts, hidden, seq };
}

const rendered = rows.map(({ messages: [question] }) => `[Question]\n${question!.content}\n`);

test("prompts are those of training and chat, or in special tokens, as the protocol says", async () => {
  const end = "[/Question]\n\n[Answer]\n";
  const plain = await evaluate(false);
  expect(plain.prompts).toEqual(rendered.map((text) => text + end));
  expect(plain.results.map(({ value, protocol }) => [value, protocol])).toEqual([
    [
      1,
      "max_new_tokens 2, steps 1, block_size 2, temperature 0, low_confidence, stripped answers equal",
    ],
  ]);

  const wrapped = await evaluate(true);
  expect(wrapped.prompts).toEqual(rendered.map((text) => `[CLS]${text}${end}[SEP]`));
  // The answer begins after the last special token.
  expect(wrapped.samples.map(({ text }) => text)).toEqual(["ok", "ok"]);
  expect(wrapped.results[0]!.protocol).toBe(
    "max_new_tokens 2, steps 1, block_size 2, temperature 0, low_confidence, prompt in special tokens, stripped answers equal",
  );
});

test("the attention mask reaches the sampler and the protocol", async () => {
  const { hidden, seq } = await evaluate(false);
  const padding = [4, 3, 2, 1].map((fromEnd) => seq - fromEnd);
  expect(hidden).toEqual(padding);
  const notEos = await evaluate(false, { attention_mask: "not_eos" });
  expect(notEos.hidden).toEqual([tokenizer.encode("[Question]\nq").length, ...padding]);
  expect(notEos.results[0]!.protocol).toContain("low_confidence, attention_mask not_eos, stripped");
});
