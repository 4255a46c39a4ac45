/**
 * @file From canvases to answer text. Source: ZHZisZZ/dllm@ca17675 dllm/utils/sampling.py.
 */

/** The part of a tokenizer that turns answers into text. */
export interface AnswerTokenizer {
  decode(ids: readonly number[], options: { skipSpecialTokens: boolean }): string;
  readonly padId: number;
  readonly eosId: number;
  readonly eosToken: string;
}

/** Ends an answer in the reference's chat template; ordinary text, not a special token. */
export const END_OF_ANSWER = "[/Answer]";

type Ids = readonly number[] | Int32Array;

/**
 * Returns the answer in a sampled row, as text, not stripped: what follows the prompt, up to the
 * first eos id, then up to the first eos token or end-of-answer marker in the decoded text.
 */
export function sampleTrim(tokenizer: AnswerTokenizer, sequence: Ids, prompt: Ids): string {
  return answerText(tokenizer, [...withoutLeadingPads(tokenizer, sequence)].slice(prompt.length));
}

/** Returns, as text, what was filled in at the mask tokens of `input`. */
export function infillTrim(
  tokenizer: AnswerTokenizer,
  { sequence, input, maskId }: { sequence: Ids; input: Ids; maskId: number },
): string {
  const filled = withoutLeadingPads(tokenizer, sequence);
  const masked = withoutLeadingPads(tokenizer, input);
  return answerText(
    tokenizer,
    [...filled].filter((_, i) => masked[i] === maskId),
  );
}

function answerText(tokenizer: AnswerTokenizer, ids: readonly number[]): string {
  const text = tokenizer.decode(untilFirst(ids, tokenizer.eosId), { skipSpecialTokens: true });
  return [tokenizer.eosToken, END_OF_ANSWER]
    .filter((marker) => marker !== "")
    .reduce((cut, marker) => cut.split(marker, 1)[0]!, text);
}

function untilFirst(ids: readonly number[], end: number): number[] {
  const index = ids.indexOf(end);
  return ids.slice(0, index < 0 ? ids.length : index);
}

// Meant for left-padded rows. A prompt that itself begins with pad ids loses them here and is
// then skipped by its full length, as in the reference.
function withoutLeadingPads(tokenizer: AnswerTokenizer, ids: Ids): Ids {
  let start = 0;
  while (start < ids.length && ids[start] === tokenizer.padId) start++;
  return ids.slice(start);
}
