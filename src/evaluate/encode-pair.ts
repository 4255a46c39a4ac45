/**
 * @file A context and a continuation to the tokens that are given and the tokens that are scored.
 * Source: ZHZisZZ/dllm@ca17675 dllm/core/eval/mdlm.py, MDLMEvalHarness._encode_pair.
 */
import { pythonRstrip } from "../data/chat-template.js";
import type { Tokenizer } from "../data/tokenizer.js";

export interface TextPair {
  context: string;
  continuation: string;
}

export interface EncodedPair {
  /** Ids that are given, never masked; may be empty. */
  prefix: number[];
  /** Ids that are scored; empty where the continuation adds no token. */
  target: number[];
}

type PairEncoder = (tokenizer: Pick<Tokenizer, "encode">, pair: TextPair) => EncodedPair;

const encoders = {
  /**
   * The reference's tokens. It encodes both texts with special tokens, so the prefix ends with
   * [SEP], and the target lacks the continuation's first token and ends with [SEP] instead.
   * White space at the end of the context belongs to the continuation: after a chat prompt the
   * lost token is the prompt's newline, or with BERT, which has no such token, the first word.
   */
  faithful(tokenizer, pair) {
    const context = pythonRstrip(pair.context);
    const whole = pair.context + pair.continuation;
    const prefix = tokenizer.encode(context, { addSpecialTokens: true });
    const all = tokenizer.encode(whole, { addSpecialTokens: true });
    return { prefix, target: all.slice(prefix.length) };
  },
  /**
   * DIFFERS: the tokens of the plain text, as a training row has them, each scored or given. A
   * token of both texts, as " b" of "a " and "b", is scored; see test/evaluate/encode-pair.test.ts.
   */
  clean(tokenizer, pair) {
    const context = tokenizer.encode(pair.context);
    const all = tokenizer.encode(pair.context + pair.continuation);
    let shared = 0;
    while (shared < context.length && context[shared] === all[shared]) shared++;
    return { prefix: all.slice(0, shared), target: all.slice(shared) };
  },
} satisfies Record<string, PairEncoder>;

export type EncodePairMode = keyof typeof encoders;

/**
 * Returns the ids of a pair: `faithful` as the reference scores them, for comparable numbers, or
 * `clean`, without special tokens and without losing one of the continuation's.
 */
export function encodePair(
  tokenizer: Pick<Tokenizer, "encode">,
  pair: TextPair,
  mode: EncodePairMode,
): EncodedPair {
  return encoders[mode](tokenizer, pair);
}
