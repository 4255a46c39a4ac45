/**
 * @file The reference's chat command for a model. Sources: ZHZisZZ/dllm@ca17675 (head) and
 * @aeab2042 (report) examples/bert/chat.py and README.md.
 */
import type { Edition, SamplerSettings } from "../../recipe/schema.js";
import { makeCommand, type Command } from "../../base/shell-text.js";
import { argumentText, type Arguments, type ArgumentValue } from "./script-arguments.js";

export interface ChatCommandInputs {
  edition: Edition;
  model: string;
  /** Turns of a conversation in the chat template; without, one text to continue. */
  conversation: boolean;
  sampler: Omit<SamplerSettings, "attention_mask">;
}

const samplerDefaults = {
  steps: 128,
  max_new_tokens: 128,
  temperature: 0,
  remasking: "low_confidence",
  stochastic_transfer: false,
  cfg_scale: 0,
};

/** Defaults of chat.py; where block_size is, the argument had another name at the report. */
export const chatDefaults: Record<Edition, Arguments> = {
  report: { ...samplerDefaults, chat: true, block_length: 128 },
  head: { ...samplerDefaults, chat_template: true, block_size: 32 },
};

/** Returns the command that chats with a model in the reference. */
export function chatCommand({ edition, model, conversation, sampler }: ChatCommandInputs): Command {
  const { block_size, ...others } = sampler;
  const wanted: Record<string, ArgumentValue> =
    edition === "report"
      ? { chat: conversation, ...others, block_length: block_size }
      : { chat_template: conversation, ...others, block_size };
  const written = Object.entries(wanted).filter(
    // The README of the report's day says it either way.
    ([name, value]) => name === "chat" || value !== chatDefaults[edition][name],
  );
  return makeCommand([
    ...["python", "-u", "examples/bert/chat.py", "--model_name_or_path", model],
    ...written.flatMap(([name, value]) => [`--${name}`, argumentText(value)]),
  ]);
}
