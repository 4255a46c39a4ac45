/** @file `dllm chat <model>` talks to a model and shows its answers unmask. */
import { setTimeout as sleep } from "node:timers/promises";
import { ExitCode } from "../base/errors.js";
import { runChat } from "../chat/chat.js";
import { startConversation } from "../chat/conversation.js";
import type { ChatCommand } from "./command.js";
import { loadSampler } from "./load-sampler.js";

// Small models answer faster than one can watch.
const FRAME_MS = 40;

export const run: ChatCommand = async ([name], options, io) => {
  const { model, tokenizer, settings, maxPositions, title } = await loadSampler(name, options);
  const { seed } = options;
  const conversation = startConversation({ model, tokenizer, settings, seed, maxPositions });
  try {
    await runChat(io, { conversation, tokenizer, title, frameMs: FRAME_MS, sleep });
  } finally {
    await model.dispose();
  }
  return ExitCode.ok;
};
