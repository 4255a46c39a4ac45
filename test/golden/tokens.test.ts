/**
 * @file Tokenizers, templates and data paths against the reference, value for value: no
 * tolerance. See golden/tokens/README.md for how the values were made.
 */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { DllmError } from "../../src/base/errors.js";
import { chatRow, fitRow, messagesOf, trainedTokens } from "../../src/data/chat-rows.js";
import {
  chatRenderer,
  defaultChatTemplate,
  type ChatMessage,
} from "../../src/data/chat-template.js";
import { collate } from "../../src/data/collate.js";
import {
  parseDatasetArgs,
  parseDatasetSpec,
  splitDatasetArgs,
} from "../../src/data/dataset-args.js";
import { lengthGroupedOrder } from "../../src/data/length-grouping.js";
import { limitSplits, mergeSplits, trainTestSplit } from "../../src/data/splits.js";
import { chunkBatch, chunkTexts } from "../../src/data/text-chunks.js";
import { tokenDatasetOf, type Padding } from "../../src/data/token-dataset.js";
import { createTokenizer, type Tokenizer } from "../../src/data/tokenizer.js";
import { assetsDirectory, goldenDirectory, printGolden } from "../support/golden.js";

const golden = goldenDirectory();
const assets = assetsDirectory();
const available = golden !== undefined && assets !== undefined;

const text = (file: string): string => readFileSync(join(golden!, "tokens", file), "utf8");
const json = <T>(file: string): T => JSON.parse(text(file)) as T;
const lines = <T>(file: string): T[] =>
  text(file)
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line) as T);

const families = ["modernbert", "bert", "roberta"] as const;
type Family = (typeof families)[number];
const folders: Record<Family, string> = {
  modernbert: "tokenizer-modernbert",
  bert: "tokenizer-bert-base-uncased",
  roberta: "tokenizer-roberta-base",
};

const loaded = new Map<Family, Tokenizer>();
/** The official tokenizer, with the configuration that the golden README names. */
function tokenizerOf(family: Family): Tokenizer {
  let tokenizer = loaded.get(family);
  if (tokenizer === undefined) {
    const read = (file: string): Record<string, unknown> | undefined => {
      const path = join(assets!, folders[family], file);
      return existsSync(path)
        ? (JSON.parse(readFileSync(path, "utf8")) as Record<string, unknown>)
        : undefined;
    };
    tokenizer = createTokenizer({
      name: folders[family],
      json: read("tokenizer.json")!,
      config: read("tokenizer_config.json") ?? {},
      specialTokens: read("special_tokens_map.json") ?? {},
    });
    loaded.set(family, tokenizer);
  }
  return tokenizer;
}

const cases = new Map<string, number>();
const count = (topic: string, n = 1): void => void cases.set(topic, (cases.get(topic) ?? 0) + n);
afterAll(() => {
  for (const [topic, n] of cases) printGolden(`tokens, ${topic}`, n);
});

/** Reports every difference of a table at once, by row. */
function expectAll<T>(rows: readonly T[], check: (row: T, index: number) => unknown): void {
  expect(rows.length).toBeGreaterThan(0);
  const different: unknown[] = [];
  rows.forEach((row, index) => {
    const difference = check(row, index);
    if (difference !== undefined) different.push({ index, difference });
  });
  expect(different).toEqual([]);
}

const differs = (found: unknown, wanted: unknown): unknown =>
  JSON.stringify(found) === JSON.stringify(wanted) ? undefined : { found, wanted };

const firstOf = (...differences: unknown[]): unknown => differences.find((d) => d !== undefined);

const sum = (values: readonly number[]): number =>
  values.reduce((total, value) => total + value, 0);

interface IdsRow {
  i: number;
  ids: number[];
  ids_special?: number[];
  tokens?: string[];
  dec?: string;
  dec_skip?: string;
  dec_special?: string;
  dec_special_skip?: string;
  dec_noclean?: string;
  dec_clean?: string;
}

describe.skipIf(!available)("tokenizers", () => {
  const texts = available ? lines<{ i: number; text: string }>("texts.jsonl") : [];

  test.each(families)("%s: special tokens", (family) => {
    const wanted = json<Record<string, unknown>>(`${family}.special.json`);
    const tokenizer = tokenizerOf(family);
    expect({
      mask: tokenizer.maskId,
      pad: tokenizer.padId,
      eos: tokenizer.eosId,
      bos: tokenizer.bosId,
      eosToken: tokenizer.eosToken,
      size: tokenizer.vocabSize,
    }).toEqual({
      mask: wanted["mask_token_id"],
      pad: wanted["pad_token_id"],
      eos: wanted["eos_token_id"],
      bos: wanted["bos_token_id"],
      eosToken: wanted["eos_token"],
      size: wanted["len"],
    });
    for (const role of ["cls", "sep", "unk", "mask", "pad"]) {
      expect(tokenizer.idOf(wanted[`${role}_token`] as string)).toBe(wanted[`${role}_token_id`]);
    }
    count("special tokens", 11);
  });

  test.each(families)("%s: ids of every text, and their decoding", (family) => {
    const tokenizer = tokenizerOf(family);
    const rows = lines<IdsRow>(`${family}.ids.jsonl`);
    expect(rows).toHaveLength(texts.length);
    const [cls] = tokenizer.encode("", { addSpecialTokens: true });
    const sep = tokenizer.encode("", { addSpecialTokens: true }).at(-1);
    expectAll(rows, (row) => {
      const { text } = texts[row.i]!;
      const special = row.ids_special ?? [cls!, ...row.ids, sep!];
      const decoded = row.dec ?? text;
      count(`${family} ids`, 2);
      count(`${family} decode`, 2 + (row.tokens ? 4 : 0));
      const { ids } = row;
      return firstOf(
        differs(tokenizer.encode(text), ids),
        differs(tokenizer.encode(text, { addSpecialTokens: true }), special),
        differs(tokenizer.decode(ids), decoded),
        differs(tokenizer.decode(ids, { skipSpecialTokens: true }), row.dec_skip ?? decoded),
        row.tokens && differs(ids.map(tokenizer.tokenOf), row.tokens),
        row.tokens && differs(tokenizer.decode(special), row.dec_special),
        row.tokens &&
          differs(tokenizer.decode(special, { skipSpecialTokens: true }), row.dec_special_skip),
        row.tokens && differs(tokenizer.decode(ids, { cleanUp: false }), row.dec_noclean),
        row.tokens && differs(tokenizer.decode(ids, { cleanUp: true }), row.dec_clean),
      );
    });
  });

  test.each(families)("%s: decoding of random ids", (family) => {
    const tokenizer = tokenizerOf(family);
    const rows = lines<{ ids: number[]; dec: string; skip: string; noclean: string }>(
      `${family}.decode.jsonl`,
    );
    expectAll(rows, ({ ids, dec, skip, noclean }) => {
      count(`${family} decode`, 3);
      return firstOf(
        differs(tokenizer.decode(ids), dec),
        differs(tokenizer.decode(ids, { skipSpecialTokens: true }), skip),
        differs(tokenizer.decode(ids, { cleanUp: false }), noclean),
      );
    });
  });
});

/** The value, or the error's name: errors of the reference are errors here. */
function attempt<T>(make: () => T): T | "error" {
  try {
    return make();
  } catch (error) {
    if (error instanceof DllmError) return "error";
    throw error;
  }
}

describe.skipIf(!available)("chat template", () => {
  interface TemplateRow {
    messages: ChatMessage[];
    gen_false?: string;
    gen_true?: string;
    continue_final?: string;
  }
  const rows = available ? lines<TemplateRow>("chat_template.jsonl") : [];

  test.each([
    ["built in", defaultChatTemplate],
    // A space at the end makes another text of it, which goes through the Jinja interpreter.
    ["as Jinja", `${defaultChatTemplate}{# #}`],
  ])("%s", (name, template) => {
    const render = chatRenderer(template);
    expectAll(rows, ({ messages, gen_false, gen_true, continue_final }) => {
      count(`chat template, ${name}`, 3);
      return firstOf(
        differs(
          attempt(() => render(messages)),
          gen_false ?? "error",
        ),
        differs(
          attempt(() => render(messages, { addGenerationPrompt: true })),
          gen_true ?? "error",
        ),
        differs(
          attempt(() => render(messages, { continueFinalMessage: true })),
          continue_final ?? "error",
        ),
      );
    });
  });
});

interface SftRow {
  input_ids: number[];
  labels?: number[];
  prompt_len: number;
  prompt_is_prefix: boolean;
}
const IGNORED = -100;
const conversations = (): ChatMessage[][] =>
  lines<{ messages: ChatMessage[] }>("sft_messages.jsonl").map(({ messages }) => messages);
const labelsOf = (ids: number[], promptLength: number): number[] =>
  ids.map((id, i) => (i < promptLength ? IGNORED : id));

describe.skipIf(!available)("SFT rows", () => {
  test.each(families)("%s: ids, labels and prompt length", (family) => {
    const tokenizer = tokenizerOf(family);
    const messages = conversations();
    expectAll(lines<SftRow>(`${family}.sft.jsonl`), (wanted, i) => {
      const row = chatRow(messages[i]!, tokenizer, { maskPromptLoss: true });
      const unmasked = chatRow(messages[i]!, tokenizer, { maskPromptLoss: false });
      count("SFT rows", 1);
      return firstOf(
        differs(row.ids, wanted.input_ids),
        differs(row.promptLength, wanted.prompt_len),
        differs(row.promptIsPrefix, wanted.prompt_is_prefix),
        wanted.labels && differs(labelsOf(row.ids, row.promptLength), wanted.labels),
        differs([unmasked.ids, unmasked.promptLength], [wanted.input_ids, 0]),
      );
    });
  });

  test("rows that the reference mistreats map to the same tokens, or fail as it does", () => {
    const tokenizer = tokenizerOf("modernbert");
    interface OddRow {
      messages: ChatMessage[];
      error?: string;
      input_ids?: number[];
      labels?: number[];
    }
    expectAll(json<OddRow[]>("sft_odd_rows.json"), (wanted) => {
      count("SFT rows", 1);
      const found = attempt(() => {
        const row = chatRow(wanted.messages, tokenizer, { maskPromptLoss: true });
        return [row.ids, labelsOf(row.ids, row.promptLength)];
      });
      return differs(found, wanted.error ? "error" : [wanted.input_ids, wanted.labels]);
    });
  });

  interface Split {
    rows: number[];
    lengths: number[];
    trainable: number[];
  }
  interface Batches {
    post_process_dataset: {
      truncation: "right" | "filter";
      max_length: number;
      train: Split;
      test: Split;
    }[];
    collated_after_right_128: {
      rows: number[];
      sft: { input_ids: number[][]; labels: number[][] };
      pt: { input_ids: number[][]; labels: number[][]; attention_mask: number[][] };
    }[];
  }
  const TRAIN_ROWS = 64;

  test.each(families)("%s: truncation, filtering and collation", (family) => {
    const tokenizer = tokenizerOf(family);
    const rows = conversations().map((messages) =>
      chatRow(messages, tokenizer, { maskPromptLoss: true }),
    );
    const wanted = json<Batches>(`${family}.post_process.json`);
    expectAll(wanted.post_process_dataset, ({ truncation, max_length: maxLength, train, test }) => {
      const fit = (start: number, end?: number): Split => {
        const kept = rows.slice(start, end).flatMap((row, i) => {
          const fitted = fitRow(row, { truncation, maxLength });
          return fitted ? [{ row: start + i, fitted }] : [];
        });
        return {
          rows: kept.map(({ row }) => row),
          lengths: kept.map(({ fitted }) => fitted.ids.length),
          trainable: kept.map(({ fitted }) => trainedTokens(fitted)),
        };
      };
      count("post-processing", 2);
      return firstOf(differs(fit(0, TRAIN_ROWS), train), differs(fit(TRAIN_ROWS), test));
    });

    const fitted = rows.flatMap((row) => {
      const kept = fitRow(row, { truncation: "right", maxLength: 128 });
      return kept ? [kept] : [];
    });
    // Rows are numbered after the filter of the 64 training rows.
    const matrix = (array: ArrayLike<number>, columns: number): number[][] =>
      Array.from({ length: array.length / columns }, (_, row) =>
        Array.from({ length: columns }, (_, column) => array[row * columns + column]!),
      );
    expectAll(wanted.collated_after_right_128, (batch) => {
      const collated = (padding: Padding) => {
        const { inputIds, maskable, attentionMask, seq } = collate(
          tokenDatasetOf(fitted, padding),
          batch.rows,
          tokenizer.padId,
        );
        const labels = Int32Array.from(inputIds, (id, i) => (maskable[i] ? id : IGNORED));
        return {
          input_ids: matrix(inputIds, seq),
          labels: matrix(labels, seq),
          attention_mask: attentionMask && matrix(attentionMask, seq),
        };
      };
      const sft = collated("trainable");
      const pt = collated("masked");
      const { attention_mask } = batch.pt;
      const full = attention_mask.every((row) => row.every((value) => value === 1));
      count("collators", 2);
      return firstOf(
        differs([sft.input_ids, sft.labels], [batch.sft.input_ids, batch.sft.labels]),
        differs(sft.attention_mask, undefined),
        differs([pt.input_ids, pt.labels], [batch.pt.input_ids, batch.pt.labels]),
        differs(pt.attention_mask, full ? undefined : attention_mask),
      );
    });
  });

  test("the Alpaca split of the demo file", () => {
    const wanted = json<{
      n: number;
      test_size: number;
      seed: number;
      n_train: number;
      n_test: number;
      first_train_user: string[];
      first_test_user: string[];
    }>("alpaca_split.json");
    const rows = JSON.parse(
      readFileSync(join(assets!, "alpaca", "alpaca_en_demo.json"), "utf8"),
    ) as Record<string, string>[];
    expect(rows).toHaveLength(wanted.n);
    const { train, test } = trainTestSplit(rows.length, wanted.test_size, wanted.seed);
    expect([train.length, test.length]).toEqual([wanted.n_train, wanted.n_test]);
    const questions = (order: Int32Array, n: number): string[] =>
      Array.from(order.slice(0, n), (i) => messagesOf(rows[i]!, `row ${i}`)[0]!.content);
    expect(questions(train, wanted.first_train_user.length)).toEqual(wanted.first_train_user);
    expect(questions(test, wanted.first_test_user.length)).toEqual(wanted.first_test_user);
    count("Alpaca split", wanted.n);
  });
});

describe.skipIf(!available)("pretraining chunks", () => {
  interface Small {
    seq_length: number;
    insert_eos: boolean;
    drop_tail: boolean;
    add_special_tokens?: boolean;
    texts?: string[];
    error?: string;
    n_chunks?: number;
    last_len?: number;
    first_chunk?: number[];
    flat?: number[];
    out?: { input_ids: number[][] };
  }
  interface Mapped {
    rows: number;
    map_batch: number;
    seq_length: number;
    drop_tail: boolean;
    insert_eos: boolean;
    n_chunks: number;
    /** Index and length of each. */
    lengths_not_full: [number, number][];
    sum_of_ids: number;
    chunk_sums: number[];
    first_chunk: number[];
    last_chunk: number[];
  }
  test.each(families)("%s", (family) => {
    const tokenizer = tokenizerOf(family);
    const texts = json<{ small: string[]; map_1000: string[] }>("group_texts.json");
    const wanted = json<{ small: Small[]; map_1000: Mapped[] }>(`${family}.group.json`);
    expectAll(wanted.small, (row) => {
      const settings = {
        maxLength: row.seq_length,
        insertEos: row.insert_eos,
        dropTail: row.drop_tail,
        addSpecialTokens: row.add_special_tokens ?? false,
      };
      const chunks = chunkBatch(row.texts ?? texts.small, tokenizer, settings);
      count("chunks of small batches", 1);
      if (row.error !== undefined) {
        // DIFFERS: the reference asserts that the eos id is not 0.
        return tokenizer.eosId === 0 && chunks.flat().includes(0) ? undefined : row;
      }
      return firstOf(
        row.n_chunks && differs(chunks.length, row.n_chunks),
        row.last_len && differs(chunks.at(-1)!.length, row.last_len),
        row.first_chunk && differs(chunks[0], row.first_chunk),
        row.flat && differs(chunks.flat(), row.flat),
        row.out && differs(chunks, row.out.input_ids),
      );
    });
    expectAll(wanted.map_1000, (row) => {
      const chunks = [
        ...chunkTexts(texts.map_1000, tokenizer, {
          maxLength: row.seq_length,
          insertEos: row.insert_eos,
          dropTail: row.drop_tail,
        }),
      ].flatMap((batch) => batch.chunks);
      count("chunks of a mapped dataset", 1);
      return firstOf(
        differs(chunks.map(sum), row.chunk_sums),
        differs([chunks[0], chunks.at(-1)], [row.first_chunk, row.last_chunk]),
        differs(
          chunks.flatMap((chunk, i) =>
            chunk.length === row.seq_length ? [] : [[i, chunk.length]],
          ),
          row.lengths_not_full,
        ),
      );
    });
  });
});

describe.skipIf(!available)("datasets", () => {
  interface ArgsRow {
    dataset_args: string;
    specs: { raw: string; name?: string | null; options?: object; error?: string }[];
    error?: string;
    result?: Record<string, string[]>;
  }

  test("dataset_args: grammar, row limits and merging", () => {
    const sorted = (value: object): unknown =>
      Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)));
    const rowsOf = (prefix: string, n: number): string[] =>
      Array.from({ length: n }, (_, i) => prefix + String(i));
    const fakeDataset = (name: string): Record<string, string[]> => ({
      train: rowsOf(`${name}/tr`, 6),
      ...(name.startsWith("one") ? {} : { test: rowsOf(`${name}/te`, 4) }),
    });
    expectAll(lines<ArgsRow>("dataset_args.jsonl"), (wanted) => {
      count("dataset_args", 1);
      const specs = splitDatasetArgs(wanted.dataset_args, ["|", "+"]);
      const grammar = firstOf(
        ...wanted.specs.map((spec, i) =>
          differs(
            attempt(() => {
              const { name, options } = parseDatasetSpec(specs[i]!);
              return [specs[i], name, sorted(options)];
            }),
            spec.error ? "error" : [spec.raw, spec.name, sorted(spec.options!)],
          ),
        ),
      );
      const result = attempt(() =>
        sorted(
          mergeSplits(
            parseDatasetArgs(wanted.dataset_args, ["|", "+"]).map(({ name, options }) =>
              limitSplits(fakeDataset(name), options, { dataset: name, overlapping: true }),
            ),
          ),
        ),
      );
      return firstOf(grammar, differs(result, wanted.result ? sorted(wanted.result) : "error"));
    });
  });

  test("train_test_split", () => {
    interface SplitRow {
      n: number;
      test_size: number;
      seed: number;
      test?: number[];
      train?: number[];
      n_test?: number;
      n_train?: number;
      test_first20?: number[];
      train_first20?: number[];
      test_sum?: number;
    }
    expectAll(json<{ rows: SplitRow[] }>("train_test_split.json").rows, (row) => {
      count("train_test_split", 1);
      const split = trainTestSplit(row.n, row.test_size, row.seed);
      const test = Array.from(split.test);
      const train = Array.from(split.train);
      if (row.test && row.train) return differs([test, train], [row.test, row.train]);
      return firstOf(
        differs([test.length, train.length], [row.n_test, row.n_train]),
        differs([test.slice(0, 20), train.slice(0, 20)], [row.test_first20, row.train_first20]),
        differs(sum(test), row.test_sum),
      );
    });
  });

  test("group_by_length", () => {
    interface GroupRow {
      batch_size: number;
      lengths: number[];
      permutation: number[];
      indices: number[];
    }
    expectAll(json<{ rows: GroupRow[] }>("group_by_length.json").rows, (row) => {
      count("group_by_length", 1);
      const permutation = Int32Array.from(row.permutation);
      const order = lengthGroupedOrder(row.lengths, row.batch_size, permutation);
      return differs(Array.from(order), row.indices);
    });
  });
});
