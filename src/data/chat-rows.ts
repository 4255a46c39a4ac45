/**
 * @file Conversations to token rows for SFT.
 * Source: ZHZisZZ/dllm@ca17675 dllm/utils/data.py default_sft_map_fn, post_process_dataset;
 * dllm/data/alpaca.py.
 */
import { DllmError, ExitCode } from "../base/errors.js";
import type { JsonObject } from "../base/json.js";
import { pythonStrip, type ChatMessage } from "./chat-template.js";
import type { TokenRow } from "./token-dataset.js";
import type { Tokenizer } from "./tokenizer.js";

export interface ChatRow extends TokenRow {
  ids: number[];
  /** Whether the prompt's tokens are the first tokens of the row, as training assumes. */
  promptIsPrefix: boolean;
}

/**
 * Returns a conversation as tokens: the whole rendering, of which the prompt (all messages but
 * the last, and the opening of the answer) is not trained. No special tokens are added.
 * @throws DllmError 65 when there is no message before the answer
 */
export function chatRow(
  messages: readonly ChatMessage[],
  tokenizer: Tokenizer,
  { maskPromptLoss }: { maskPromptLoss: boolean },
): ChatRow {
  const ids = tokenizer.encode(tokenizer.renderChat(messages));
  if (!maskPromptLoss) return { ids, promptLength: 0, promptIsPrefix: true };
  const prompt = tokenizer.encode(
    tokenizer.renderChat(messages.slice(0, -1), { addGenerationPrompt: true }),
  );
  return {
    ids,
    promptLength: prompt.length,
    promptIsPrefix: prompt.every((id, i) => ids[i] === id),
  };
}

/**
 * Returns the row as training will see it, or undefined when it is dropped.
 *
 * - `right` drops rows whose prompt alone exceeds maxLength and keeps the first maxLength tokens
 *   of the others; a row may be left without anything to train.
 * - `filter` drops rows longer than maxLength.
 */
export function fitRow<Row extends TokenRow & { ids: number[] }>(
  row: Row,
  { maxLength, truncation }: { maxLength: number; truncation: "right" | "filter" },
): Row | undefined {
  if (truncation === "filter") return row.ids.length <= maxLength ? row : undefined;
  if (row.promptLength > maxLength) return undefined;
  return row.ids.length <= maxLength ? row : { ...row, ids: row.ids.slice(0, maxLength) };
}

/** Returns the trained tokens of a row, before padding. */
export function trainedTokens(row: TokenRow): number {
  return Math.max(0, row.ids.length - row.promptLength);
}

/**
 * Returns the conversation of a data row: its `messages`, or `instruction`, `input` and `output`
 * as in Alpaca.
 *
 * DIFFERS: the reference trains on rows whose last message is no answer, with the wrong tokens
 * masked, and fails on single messages with an IndexError; here both are errors with a position
 * (test/data/tokenizer.test.ts).
 *
 * @param where position for errors: `file:line`
 * @throws DllmError 65 when the row holds no conversation that ends with an answer
 */
export function messagesOf(row: JsonObject, where: string): ChatMessage[] {
  const bad = (found: string): DllmError =>
    new DllmError(`${where}: ${found}`, {
      exitCode: ExitCode.invalidInput,
      details: [
        'expected {"messages": [{"role": "user", "content": "…"}, {"role": "assistant", "content": "…"}]}',
        'or {"instruction": "…", "input": "…", "output": "…"}',
      ],
    });
  const { messages } = row;
  if (messages === undefined) {
    const alpaca = alpacaMessages(row);
    if (alpaca === undefined) throw bad(`no "messages" (found: ${Object.keys(row).join(", ")})`);
    return alpaca;
  }
  if (!Array.isArray(messages)) throw bad('"messages" is not a list');
  const checked = messages.map((message: unknown, i): ChatMessage => {
    if (typeof message === "object" && message !== null) {
      const { role, content } = message as Record<string, unknown>;
      if (typeof role === "string" && typeof content === "string") return { role, content };
    }
    throw bad(`messages[${i}] has no "role" and "content" strings`);
  });
  if (checked.length < 2) throw bad(`${checked.length} messages`);
  const last = checked.at(-1)!.role;
  if (last !== "assistant") throw bad(`the last message is of role "${last}"`);
  return checked;
}

function alpacaMessages({ instruction, input, output }: JsonObject): ChatMessage[] | undefined {
  if (typeof instruction !== "string" || typeof output !== "string") return undefined;
  const question = pythonStrip(instruction);
  const context = typeof input === "string" ? pythonStrip(input) : "";
  return [
    { role: "user", content: context === "" ? question : `${question}\n\n${context}` },
    { role: "assistant", content: pythonStrip(output) },
  ];
}
