/**
 * @file What of a row is trained on: its text or its conversation, by a declared mapping or by
 * the columns that it has.
 */
import type { JsonObject } from "../base/json.js";
import { messagesOf } from "./chat-rows.js";
import type { ChatMessage } from "./chat-template.js";
import { invalidData, type SourceRow } from "./formats/row.js";
import { knownDataset, type KnownDataset, type RowMapping } from "./known-datasets.js";
import { columnOptions } from "./row-columns.js";

export interface RowReader {
  /** @throws DllmError 65 */
  text(row: SourceRow): string;
  /** @throws DllmError 65 */
  messages(row: SourceRow): ChatMessage[];
  /** Whether the row is a text rather than a conversation, where the recipe does not say. */
  isText(row: SourceRow): boolean;
  /** Whether the row is of the language that the recipe asks for. */
  isWanted(row: SourceRow): boolean;
}

/**
 * Returns how the rows of a dataset are read: as its options say, else as the reference reads it,
 * else by their columns.
 * @throws DllmError 65 for a language that does nothing
 */
export function rowReader({
  name,
  config,
  options,
  textField,
}: {
  name: string;
  config?: string | undefined;
  options: Readonly<Record<string, string | number>>;
  textField: string;
}): RowReader {
  const known = knownDataset(name);
  const declared: RowMapping = Object.fromEntries(
    columnOptions.flatMap((key) =>
      options[key] === undefined ? [] : [[key, String(options[key])]],
    ),
  );
  const mapping = Object.keys(declared).length > 0 ? declared : (known?.rows ?? {});
  const messages = (row: SourceRow) => messagesBy(mapping, row);
  return {
    messages,
    isText: (row) => isText(mapping, row),
    text: (row) => textOf(row, mapping.text ?? textField),
    isWanted: languageFilter({ name, config, known, lang: options["lang"], messages }),
  };
}

const conversationColumns = ["messages", "instruction", "conversations", "prompt", "question"];

/** A mapping says it; else a paragraph is a text, and so is a row with no column of a conversation. */
function isText(mapping: RowMapping, { value }: SourceRow): boolean {
  if (typeof value === "string" || mapping.text !== undefined) return true;
  if (mapping.messages !== undefined || mapping.prompt !== undefined) return false;
  return conversationColumns.every((column) => value[column] === undefined);
}

function languageFilter({
  name,
  config,
  known,
  lang,
  messages,
}: {
  name: string;
  config: string | undefined;
  known: KnownDataset | undefined;
  lang: string | number | undefined;
  messages: RowReader["messages"];
}): RowReader["isWanted"] {
  if (lang === undefined) return () => true;
  const wanted = String(lang);
  const rule = known?.lang;
  if (rule === undefined) {
    throw invalidData(`dataset "${name}": option "lang" means nothing for it`, [
      "it is known for the datasets of OpenCoder-LLM",
    ]);
  }
  if (rule === "in the answer") return (row) => messages(row).at(-1)!.content.includes(wanted);
  const column = rule.byConfig?.[config ?? ""] ?? rule.column;
  return ({ value }) => typeof value === "object" && value[column] === wanted;
}

/**
 * Returns the text of a row: of a text file its paragraph, of a JSON row the text field.
 * @throws DllmError 65 when the field is not a string
 */
export function textOf({ value, where }: SourceRow, textField: string): string {
  if (typeof value === "string") return value;
  const text = value[textField];
  if (typeof text === "string") return text;
  const found =
    text === undefined ? `found: ${Object.keys(value).join(", ")}` : `it is ${typeof text}`;
  throw invalidData(`${where}: no text in field "${textField}"`, [
    found,
    "set text_field to its name",
  ]);
}

function messagesBy(mapping: RowMapping, { value, where }: SourceRow): ChatMessage[] {
  if (typeof value === "string") {
    throw invalidData(`${where}: plain text, not conversations`, [
      'expected .jsonl or .json rows with "messages"',
    ]);
  }
  const { messages, prompt, completion } = mapping;
  if (prompt !== undefined && completion !== undefined) {
    return pair(value, prompt, completion, where);
  }
  if (messages !== undefined) {
    const list = value[messages];
    if (list === undefined) throw noColumn(value, messages, where);
    return messagesOf({ messages: unified(list) as JsonObject }, where);
  }
  if (value["messages"] === undefined && value["instruction"] === undefined) {
    if (value["conversations"] !== undefined) {
      return messagesOf({ messages: unified(value["conversations"]) as JsonObject }, where);
    }
    const answer = ["completion", "response", "answer"].find(
      (key) => typeof value[key] === "string",
    );
    const question = ["prompt", "question"].find((key) => typeof value[key] === "string");
    if (question !== undefined && answer !== undefined) return pair(value, question, answer, where);
  }
  return messagesOf(value, where);
}

function noColumn(value: JsonObject, column: string, where: string): Error {
  return invalidData(`${where}: no column "${column}"`, [
    `found: ${Object.keys(value).join(", ")}`,
    "name the columns with [messages:…] or [prompt:…,completion:…]",
  ]);
}

function pair(value: JsonObject, prompt: string, completion: string, where: string): ChatMessage[] {
  const text = (column: string): string => {
    const found = value[column];
    if (typeof found === "string") return found;
    throw noColumn(value, column, where);
  };
  return [
    { role: "user", content: text(prompt) },
    { role: "assistant", content: text(completion) },
  ];
}

const SHAREGPT_ROLES: Readonly<Record<string, string>> = {
  human: "user",
  user: "user",
  gpt: "assistant",
  assistant: "assistant",
  chatgpt: "assistant",
  system: "system",
};

/** ShareGPT's `from` and `value` as `role` and `content`; anything else as it is. */
function unified(list: unknown): unknown {
  if (!Array.isArray(list)) return list;
  return list.map((item: unknown) => {
    if (typeof item !== "object" || item === null || !("from" in item)) return item;
    const { from, value } = item as { from: unknown; value: unknown };
    return { role: SHAREGPT_ROLES[String(from)] ?? String(from), content: value };
  });
}
