/** @file A conversation with a model: its turns, its settings, and the next answer. */
import { DllmError, ExitCode } from "../base/errors.js";
import { pythonStrip, type ChatMessage } from "../data/chat-template.js";
import type { Tokenizer } from "../data/tokenizer.js";
import type { MaskedLanguageModel } from "../model/masked-lm.js";
import type { SampleFrame } from "../sample/denoise.js";
import { sample, type SampleSettings } from "../sample/sampler.js";
import { sampleTrim } from "../sample/trim.js";

export interface ConversationOptions {
  model: MaskedLanguageModel;
  tokenizer: Tokenizer;
  settings: SampleSettings;
  seed: number;
  /** Longest canvas the model is meant for, in tokens. */
  maxPositions: number;
}

export interface AskOptions {
  /** Called once, before the first frame. */
  onStart?: (promptLength: number) => void;
  onFrame?: (frame: SampleFrame) => void | Promise<void>;
  signal?: AbortSignal;
}

export interface Answer {
  /** Stripped. */
  text: string;
  /** Messages at the start of the conversation that the model no longer sees. */
  forgotten: number;
}

export interface Conversation {
  /** May be changed between turns. */
  settings: SampleSettings;
  readonly messages: readonly ChatMessage[];
  /**
   * Returns the answer to a message and remembers both; an aborted question is not remembered.
   * @throws DllmError 65 when the message alone is too long for the model
   */
  ask(text: string, options?: AskOptions): Promise<Answer>;
  reset(): void;
}

/** Returns a conversation without any turn. */
export function startConversation(options: ConversationOptions): Conversation {
  const { model, tokenizer, seed, maxPositions } = options;
  let messages: ChatMessage[] = [];
  let turn = 0;
  const conversation: Conversation = {
    settings: options.settings,
    get messages() {
      return messages;
    },
    async ask(text, { onStart, onFrame, signal } = {}) {
      const { settings } = conversation;
      const asked: ChatMessage[] = [...messages, { role: "user", content: text }];
      const room = maxPositions - settings.max_new_tokens;
      const { prompt, forgotten } = fitPrompt(tokenizer, asked, room);
      onStart?.(prompt.length);
      const { sequences } = await sample(model, tokenizer, [prompt], settings, {
        seed,
        // Every turn draws its own noise.
        rowIds: [turn],
        ...(onFrame && { onFrame }),
        ...(signal && { signal }),
      });
      const answer = pythonStrip(sampleTrim(tokenizer, sequences[0]!, prompt));
      messages = [...asked, { role: "assistant", content: answer }];
      turn++;
      return { text: answer, forgotten };
    },
    reset() {
      messages = [];
      turn = 0;
    },
  };
  return conversation;
}

/**
 * Returns the prompt of the last messages that fit into `room` tokens.
 * DIFFERS: the reference never shortens a conversation and runs past the model's positions
 * (test/chat/chat.test.ts).
 */
function fitPrompt(
  tokenizer: Tokenizer,
  messages: readonly ChatMessage[],
  room: number,
): { prompt: number[]; forgotten: number } {
  // Turns are forgotten in pairs, question and answer.
  for (let forgotten = 0; forgotten < messages.length; forgotten += 2) {
    const prompt = tokenizer.encode(
      tokenizer.renderChat(messages.slice(forgotten), { addGenerationPrompt: true }),
    );
    if (prompt.length <= room) return { prompt, forgotten };
  }
  throw new DllmError(
    `the message is too long: the model has room for ${Math.max(0, room)} tokens`,
    {
      exitCode: ExitCode.invalidInput,
      details: ["send a shorter message, or ask for fewer new tokens (--max-new-tokens)"],
    },
  );
}
