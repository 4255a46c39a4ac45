/**
 * @file Tokenizers in Hugging Face format, with the special-token rules of the reference:
 * ZHZisZZ/dllm@ca17675 dllm/utils/models.py get_tokenizer. The pure JavaScript
 * @huggingface/tokenizers does the work; where it differs from the Rust library it is corrected
 * here, at the boundary.
 */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import * as huggingFace from "@huggingface/tokenizers";
import { DllmError, ExitCode, errorCode, errorMessage } from "../base/errors.js";
import { normalizeBertText, type BertNormalizerOptions } from "./bert-normalizer.js";
import { cacheWords } from "./bpe-cache.js";
import { byteLevelPattern } from "./bpe-trainer.js";
import {
  chatRenderer,
  defaultChatTemplate,
  type ChatMessage,
  type RenderOptions,
} from "./chat-template.js";
import { tokenizerFiles } from "./tokenizer-files.js";

export interface Tokenizer {
  /** Token ids of a text; addSpecialTokens (default false) wraps them in [CLS] and [SEP]. */
  encode(text: string, options?: { addSpecialTokens?: boolean }): number[];
  /**
   * Text of token ids; ids without a token are left out. skipSpecialTokens defaults to false,
   * cleanUp (no space before punctuation) to the tokenizer's own setting.
   */
  decode(
    ids: ArrayLike<number>,
    options?: { skipSpecialTokens?: boolean; cleanUp?: boolean },
  ): string;
  /** Ids are below it: the greatest id plus one. A model's vocab_size may be greater. */
  readonly vocabSize: number;
  readonly maskId: number;
  readonly padId: number;
  /** The pad id where the tokenizer names no eos token. */
  readonly eosId: number;
  /** The pad id where the tokenizer names no bos token. */
  readonly bosId: number;
  readonly eosToken: string;
  tokenOf(id: number): string | undefined;
  idOf(token: string): number | undefined;
  /** The Jinja text behind renderChat. */
  readonly chatTemplate: string;
  renderChat(messages: readonly ChatMessage[], options?: RenderOptions): string;
}

type JsonRecord = Record<string, unknown>;

/** What of tokenizer.json is used here; the library reads the rest. */
interface TokenizerJson {
  model: { type?: string; vocab: unknown; merges?: unknown; [key: string]: unknown };
  added_tokens: { id: number; content: string }[];
  normalizer: { type: string } | null;
  pre_tokenizer: PreTokenizerJson | null;
}

interface PreTokenizerJson {
  type: string;
  pretokenizers?: PreTokenizerJson[];
  use_regex?: boolean;
  add_prefix_space?: boolean;
}

/** What of the library is used here: its own declarations do not resolve under NodeNext. */
interface LibraryTokenizer {
  normalizer: ((text: string) => string) | null;
  pre_tokenizer: LibraryPreTokenizer | null;
  model: { encode(tokens: string[]): string[] };
  encode(text: string, options: { add_special_tokens: boolean }): { ids: number[] };
  decode(
    ids: number[],
    options: { skip_special_tokens: boolean; clean_up_tokenization_spaces: boolean },
  ): string;
  token_to_id(token: string): number | undefined;
  id_to_token(id: number): string | undefined;
}

interface LibraryPreTokenizer {
  /** Of a ByteLevel pre-tokenizer. */
  pattern?: RegExp;
  /** Of a Sequence. */
  tokenizers?: LibraryPreTokenizer[];
}

const LibraryTokenizer = (
  huggingFace as unknown as { Tokenizer: new (json: object, config: object) => LibraryTokenizer }
).Tokenizer;

async function readOptional(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, "utf8");
  } catch (cause) {
    if (errorCode(cause) === "ENOENT") return undefined;
    throw cause;
  }
}

function parseJsonFile(path: string, text: string): JsonRecord {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw invalid(path, errorMessage(cause), "JSON", cause);
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw invalid(path, "not an object", "a JSON object");
  }
  return value as JsonRecord;
}

function invalid(path: string, found: string, expected: string, cause?: unknown): DllmError {
  return new DllmError(`${path}: ${found}`, {
    exitCode: ExitCode.invalidInput,
    details: [`expected ${expected}`],
    cause,
  });
}

/**
 * Returns the tokenizer of a directory: tokenizer.json, and where present tokenizer_config.json,
 * special_tokens_map.json and chat_template.jinja. The chat template is, in this order:
 * chat_template.jinja, `chat_template` of tokenizer_config.json, the reference's default.
 * @throws DllmError 66 without tokenizer.json, 65 when a file is malformed or no mask or pad
 * token is named
 */
export async function loadTokenizer(directory: string): Promise<Tokenizer> {
  return createTokenizer(await readTokenizerParts(directory));
}

async function readTokenizerParts(directory: string): Promise<TokenizerParts> {
  const path = (file: (typeof tokenizerFiles)[number]): string => join(directory, file);
  const [json, config, specialTokens, template] = await Promise.all(
    tokenizerFiles.map((file) => readOptional(path(file))),
  );
  if (json === undefined) {
    throw new DllmError(`${path("tokenizer.json")}: no such file`, {
      exitCode: ExitCode.notFound,
      details: ["expected a directory with a Hugging Face tokenizer.json"],
    });
  }
  const parseOptional = (
    file: (typeof tokenizerFiles)[number],
    text: string | undefined,
  ): JsonRecord => (text === undefined ? {} : parseJsonFile(path(file), text));
  return {
    name: path("tokenizer.json"),
    json: parseJsonFile(path("tokenizer.json"), json),
    config: parseOptional("tokenizer_config.json", config),
    specialTokens: parseOptional("special_tokens_map.json", specialTokens),
    template,
  };
}

/**
 * Returns tokenizer_config.json and special_tokens_map.json of a directory with all special
 * tokens in effect named, as `save_pretrained` of the reference's tokenizer writes them.
 * @throws as loadTokenizer
 */
export async function resolvedTokenizerConfig(
  directory: string,
): Promise<{ config: JsonRecord; specialTokensMap: JsonRecord }> {
  const { json, name, config = {}, specialTokens = {} } = await readTokenizerParts(directory);
  const special = resolveSpecialTokens(withModelType(json, name), config, specialTokens);
  const named = Object.fromEntries(
    Object.entries(special).flatMap(([role, token]) =>
      token === undefined ? [] : [[`${role}_token`, token]],
    ),
  );
  return {
    // The template moves to chat_template.jinja.
    config: {
      tokenizer_class: "PreTrainedTokenizerFast",
      ...named,
      ...withoutNull(config),
      chat_template: undefined,
    },
    specialTokensMap: { ...named, ...withoutNull(specialTokens) },
  };
}

function withoutNull(record: JsonRecord): JsonRecord {
  return Object.fromEntries(Object.entries(record).filter(([, value]) => value !== null));
}

export interface TokenizerParts {
  /** For errors: the path of tokenizer.json. */
  name: string;
  /** Parsed tokenizer.json, tokenizer_config.json, special_tokens_map.json ({} when absent). */
  json: JsonRecord;
  config?: JsonRecord;
  specialTokens?: JsonRecord;
  /** Text of chat_template.jinja. */
  template?: string | undefined;
}

/** Returns a tokenizer from parsed files; see loadTokenizer. */
export function createTokenizer(parts: TokenizerParts): Tokenizer {
  const { name, config = {}, specialTokens = {} } = parts;
  const json = withModelType(parts.json, name);
  const library = createLibraryTokenizer(json, config, name);
  const vocabSize = countIds(json);
  const idOf = (token: string): number | undefined => library.token_to_id(token);
  const special = resolveSpecialTokens(json, config, specialTokens);

  const required = (role: "mask" | "pad"): string => {
    const token = special[role];
    if (token !== undefined && idOf(token) !== undefined) return token;
    throw invalid(
      name,
      token === undefined
        ? `no ${role} token`
        : `${role} token "${token}" is not in the vocabulary`,
      `"${role}_token" in tokenizer_config.json, naming a token of tokenizer.json`,
    );
  };
  const mask = required("mask");
  const pad = required("pad");
  const eos = special.eos ?? pad;
  const bos = special.bos ?? pad;

  const cleanUpDefault = config["clean_up_tokenization_spaces"] === true;
  const ownTemplate = config["chat_template"];
  const chatTemplate =
    parts.template ?? (typeof ownTemplate === "string" ? ownTemplate : defaultChatTemplate);
  let render: ReturnType<typeof chatRenderer> | undefined;

  return {
    vocabSize,
    maskId: idOf(mask)!,
    padId: idOf(pad)!,
    eosId: idOf(eos) ?? idOf(pad)!,
    bosId: idOf(bos) ?? idOf(pad)!,
    eosToken: eos,
    idOf,
    tokenOf: (id) => library.id_to_token(id),
    encode: (text, { addSpecialTokens = false } = {}) =>
      library.encode(text, { add_special_tokens: addSpecialTokens }).ids,
    decode(ids, { skipSpecialTokens = false, cleanUp = cleanUpDefault } = {}) {
      const known = Array.from(ids).filter((id) => library.id_to_token(id) !== undefined);
      if (known.length === 0) return "";
      return library.decode(known, {
        skip_special_tokens: skipSpecialTokens,
        clean_up_tokenization_spaces: cleanUp,
      });
    },
    chatTemplate,
    renderChat(messages, options) {
      render ??= chatRenderer(chatTemplate, { bos_token: bos, eos_token: eos, pad_token: pad });
      return render(messages, options);
    },
  };
}

/** The official BERT and RoBERTa files predate `model.type`; it follows from what the model has. */
function withModelType(json: JsonRecord, name: string): TokenizerJson {
  const model = json["model"];
  if (typeof model !== "object" || model === null || !("vocab" in model)) {
    throw invalid(name, "no model.vocab", "a Hugging Face tokenizer.json");
  }
  const added = Array.isArray(json["added_tokens"]) ? json["added_tokens"] : [];
  const inferred = Array.isArray(model.vocab) ? "Unigram" : "merges" in model ? "BPE" : "WordPiece";
  return {
    ...json,
    added_tokens: added,
    model: { type: inferred, ...model },
  } as unknown as TokenizerJson;
}

function createLibraryTokenizer(
  json: TokenizerJson,
  config: JsonRecord,
  name: string,
): LibraryTokenizer {
  let library: LibraryTokenizer;
  try {
    library = new LibraryTokenizer(json, config);
  } catch (cause) {
    throw invalid(name, errorMessage(cause), "a tokenizer.json of a supported kind", cause);
  }
  if (json.normalizer?.type === "BertNormalizer") {
    const options = json.normalizer as unknown as BertNormalizerOptions;
    library.normalizer = (text) => normalizeBertText(text, options);
  }
  useUnicodeWhiteSpace(library.pre_tokenizer, json.pre_tokenizer);
  // With a space put before the text, the words of the text are not those of the model.
  const { type, use_regex: splits = true, add_prefix_space: prefix } = json.pre_tokenizer ?? {};
  if (json.model.type === "BPE" && type === "ByteLevel" && splits && !prefix) {
    cacheWords(library.pre_tokenizer as Parameters<typeof cacheWords>[0], library.model);
  }
  return library;
}

// JavaScript's \s takes U+FEFF for white space and U+0085 not; the Rust library goes by Unicode.
function useUnicodeWhiteSpace(
  library: LibraryPreTokenizer | null | undefined,
  json: PreTokenizerJson | null | undefined,
): void {
  if (!library || !json) return;
  if (json.type === "ByteLevel") library.pattern = byteLevelPattern;
  json.pretokenizers?.forEach((item, i) => useUnicodeWhiteSpace(library.tokenizers?.[i], item));
}

function countIds(json: TokenizerJson): number {
  const { vocab } = json.model;
  let greatest = Array.isArray(vocab) ? vocab.length - 1 : -1;
  if (!Array.isArray(vocab)) {
    for (const id of Object.values(vocab as Record<string, number>)) {
      if (id > greatest) greatest = id;
    }
  }
  for (const { id } of json.added_tokens) if (id > greatest) greatest = id;
  return greatest + 1;
}

const specialRoles = ["mask", "pad", "eos", "bos", "unk", "cls", "sep"] as const;
type SpecialTokens = Partial<Record<(typeof specialRoles)[number], string | undefined>>;

const bertTokens = {
  mask: "[MASK]",
  pad: "[PAD]",
  unk: "[UNK]",
  cls: "[CLS]",
  sep: "[SEP]",
};
const robertaTokens = {
  mask: "<mask>",
  pad: "<pad>",
  eos: "</s>",
  bos: "<s>",
  unk: "<unk>",
  cls: "<s>",
  sep: "</s>",
};

/** The defaults of transformers' tokenizer classes. */
const classTokens: Readonly<Record<string, SpecialTokens>> = {
  BertTokenizer: bertTokens,
  BertTokenizerFast: bertTokens,
  RobertaTokenizer: robertaTokens,
  RobertaTokenizerFast: robertaTokens,
};

/** The special tokens in effect, by role. */
function resolveSpecialTokens(
  json: TokenizerJson,
  config: JsonRecord,
  specialTokens: JsonRecord,
): SpecialTokens {
  const className = config["tokenizer_class"];
  let defaults: SpecialTokens = {};
  if (typeof className === "string") {
    defaults = classTokens[className] ?? {};
  } else {
    // A bare tokenizer.json: the class that its added tokens belong to.
    const added = new Set(json.added_tokens.map(({ content }) => content));
    const isFamily = (tokens: Readonly<Record<string, string>>): boolean =>
      Object.values(tokens).every((token) => added.has(token));
    defaults = [robertaTokens, bertTokens].find(isFamily) ?? {};
  }
  const named = (role: keyof SpecialTokens): string | undefined =>
    tokenText(config[`${role}_token`]) ??
    tokenText(specialTokens[`${role}_token`]) ??
    defaults[role];
  const special: SpecialTokens = {};
  for (const role of specialRoles) special[role] = named(role);
  // The reference's rules: pad := eos, then eos := pad, then bos := pad.
  special.pad ??= special.eos;
  special.eos ??= special.pad;
  special.bos ??= special.pad;
  return special;
}

/** A special token is written as a string or as an object with `content`. */
function tokenText(value: unknown): string | undefined {
  if (typeof value === "string") return value;
  if (typeof value === "object" && value !== null && "content" in value) {
    return typeof value.content === "string" ? value.content : undefined;
  }
  return undefined;
}
