/**
 * @file Exact match: the model answers held-out conversations, and an answer counts when it
 * equals the reference answer, both stripped.
 */
import { pythonStrip, type ChatMessage } from "../data/chat-template.js";
import type { Tokenizer } from "../data/tokenizer.js";
import type { MaskedLanguageModel } from "../model/masked-lm.js";
import type { SamplerSettings } from "../recipe/schema.js";
import { sample } from "../sample/sampler.js";
import { sampleTrim } from "../sample/trim.js";
import { meanWithError, type EvalResult } from "./result.js";

/** A held-out conversation; its last message is the reference answer. */
export interface ExactMatchRow {
  /** Its number in the test split. */
  index: number;
  messages: readonly ChatMessage[];
  /** Answers are also counted per skill, where rows name one. */
  skill?: string;
}

/** A line of `samples.jsonl`. */
export interface AnswerSample {
  index: number;
  skill?: string;
  /** The last message before the answer. */
  prompt: string;
  expected: string;
  /** What the model said, stripped. */
  text: string;
  match: boolean;
}

export interface ExactMatchInputs {
  model: MaskedLanguageModel;
  tokenizer: Tokenizer;
  rows: readonly ExactMatchRow[];
  /** Whether prompts are wrapped in the tokenizer's special tokens. */
  promptSpecialTokens: boolean;
  sampler: SamplerSettings;
  batchSize: number;
  seed: number;
  /** Answers of an earlier attempt, whole batches, in the order that onProgress gave them. */
  resume?: readonly AnswerSample[];
  /** Called after each batch with all answers so far, and awaited; may throw to stop. */
  onProgress?: (answers: readonly AnswerSample[]) => Promise<void>;
}

/** Returns exact match over all rows and per skill, and each answer, in the order of the rows. */
export async function exactMatch(
  inputs: ExactMatchInputs,
): Promise<{ results: EvalResult[]; samples: AnswerSample[] }> {
  const { tokenizer, batchSize, promptSpecialTokens, onProgress } = inputs;
  const prompts = inputs.rows.map((row) => ({
    row,
    ids: tokenizer.encode(
      tokenizer.renderChat(row.messages.slice(0, -1), { addGenerationPrompt: true }),
      { addSpecialTokens: promptSpecialTokens },
    ),
  }));
  // Prompts of like length share a canvas, so that little is padded.
  prompts.sort((a, b) => b.ids.length - a.ids.length || a.row.index - b.row.index);
  const answers: AnswerSample[] = [...(inputs.resume ?? [])];
  while (answers.length < prompts.length) {
    const batch = prompts.slice(answers.length, answers.length + batchSize);
    answers.push(...(await answerBatch(inputs, batch)));
    await onProgress?.([...answers]);
  }
  const samples = answers.sort((a, b) => a.index - b.index);
  return { results: summarise(samples, describeProtocol(inputs)), samples };
}

async function answerBatch(
  { model, tokenizer, sampler, seed }: ExactMatchInputs,
  batch: readonly { row: ExactMatchRow; ids: readonly number[] }[],
): Promise<AnswerSample[]> {
  const { sequences } = await sample(
    model,
    tokenizer,
    batch.map(({ ids }) => ids),
    sampler,
    { seed, rowIds: batch.map(({ row }) => row.index) },
  );
  return batch.map(({ row, ids }, i) => {
    const text = pythonStrip(sampleTrim(tokenizer, sequences[i]!, ids));
    const expected = pythonStrip(row.messages.at(-1)?.content ?? "");
    return {
      index: row.index,
      ...(row.skill !== undefined && { skill: row.skill }),
      prompt: row.messages.at(-2)?.content ?? "",
      expected,
      text,
      match: text === expected,
    };
  });
}

function summarise(samples: readonly AnswerSample[], protocol: string): EvalResult[] {
  const result = (task: string, matches: readonly AnswerSample[]): EvalResult => ({
    task,
    metric: "exact_match",
    ...meanWithError(matches.map(({ match }) => (match ? 1 : 0))),
    n: matches.length,
    protocol,
  });
  const skills = [...new Set(samples.flatMap(({ skill }) => skill ?? []))].sort();
  return [
    result("exact_match", samples),
    ...skills.map((name) =>
      result(
        `exact_match:${name}`,
        samples.filter(({ skill }) => skill === name),
      ),
    ),
  ];
}

/** Returns the settings that decide an answer, in one line. */
function describeProtocol({
  promptSpecialTokens,
  sampler,
}: Pick<ExactMatchInputs, "promptSpecialTokens" | "sampler">): string {
  const { max_new_tokens, steps, block_size, temperature, remasking } = sampler;
  return [
    `max_new_tokens ${max_new_tokens}`,
    `steps ${steps}`,
    `block_size ${block_size}`,
    `temperature ${temperature}`,
    remasking,
    ...(sampler.cfg_scale > 0 ? [`cfg_scale ${sampler.cfg_scale}`] : []),
    ...(sampler.stochastic_transfer ? ["stochastic transfer"] : []),
    ...(sampler.attention_mask === "row" ? [] : [`attention_mask ${sampler.attention_mask}`]),
    ...(promptSpecialTokens ? ["prompt in special tokens"] : []),
    "stripped answers equal",
  ].join(", ");
}
