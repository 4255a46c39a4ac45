/**
 * @file The `prepare` stage: brings a model, brings or trains a tokenizer, turns text or
 * conversations into token rows. Reads pinned files only, and refuses them when their content
 * has changed.
 */
import { join } from "node:path";
import { DllmError, ExitCode } from "../base/errors.js";
import { writeFile } from "../base/fs.js";
import type { JsonObject } from "../base/json.js";
import { SMALLEST_VOCAB_SIZE, bpeTokenizerFiles, trainBpe } from "../data/bpe-trainer.js";
import { chatRow, fitRow, messagesOf, trainedTokens, type ChatRow } from "../data/chat-rows.js";
import { chatRenderer, defaultChatTemplate } from "../data/chat-template.js";
import { pinnedFilePieces, readSource, textOf, type SourceRow } from "../data/sources.js";
import { limitSplits, mergeSplits, withTestSplit } from "../data/splits.js";
import { chunkTexts } from "../data/text-chunks.js";
import {
  writeDatasetInfo,
  writeTokenSplit,
  type SplitInfo,
  type TokenRow,
} from "../data/token-dataset.js";
import { loadTokenizer, resolvedTokenizerConfig, type Tokenizer } from "../data/tokenizer.js";
import type {
  PinnedFile,
  PrepareChatParams,
  PrepareModelParams,
  PrepareParams,
  PrepareTextParams,
  PrepareTokenizerParams,
  SourceParams,
} from "../plan/params.js";
import type { StageContext, StageImplementation } from "../plan/stage.js";
import { StageStopped } from "../plan/stage.js";

export const run: StageImplementation = async (context) => {
  const params = context.job.params as unknown as PrepareParams;
  switch (params.task) {
    case "tokenizer":
      return prepareTokenizer(context, params);
    case "text":
      return prepareText(context, params);
    case "chat":
      return prepareChat(context, params);
    case "model":
      return prepareModel(context, params);
  }
};

/** Nothing here can be resumed: a stopped attempt starts anew, in seconds to minutes. */
function checkStop({ stop }: StageContext): void {
  if (stop.requested) throw new StageStopped("stopped while preparing data");
}

/** Lets timers and signals run between batches of work. */
const breathe = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** Brings a model that exists into the store. */
async function prepareModel(
  context: StageContext,
  { name, files }: PrepareModelParams,
): Promise<JsonObject> {
  const copied = await copyPinnedFiles(context, name, files);
  context.log(`${name}: ${files.length} files, ${copied} bytes`);
  return { bytes: copied };
}

/** Copies files into the output directory, checked while they are read; returns their bytes. */
async function copyPinnedFiles(
  context: StageContext,
  name: string,
  files: readonly PinnedFile[],
): Promise<number> {
  const location = locationOf(context.job.locations, name);
  const total = files.reduce((sum, { bytes }) => sum + bytes, 0);
  let done = 0;
  for (const file of files) {
    const pieces = pinnedFilePieces(location, file);
    await writeFile(join(context.outputDirectory, file.path), pieces);
    done += file.bytes;
    context.progress({ done, total, unit: "byte", message: file.path });
    checkStop(context);
  }
  return total;
}

async function prepareTokenizer(
  context: StageContext,
  { tokenizer, chat_template: chatTemplate }: PrepareTokenizerParams,
): Promise<JsonObject> {
  const { outputDirectory } = context;
  const write = (file: string, content: string): Promise<void> =>
    writeFile(join(outputDirectory, file), content);
  if (chatTemplate !== null) chatRenderer(chatTemplate); // refuses what is no template, now
  if (tokenizer.source === "train") {
    await trainTokenizer(context, tokenizer, chatTemplate);
  } else {
    await copyPinnedFiles(context, tokenizer.name, tokenizer.files);
  }
  const loaded = await loadTokenizer(outputDirectory);
  await write("chat_template.jinja", chatTemplate ?? loaded.chatTemplate);
  if (tokenizer.source === "files") {
    // As the reference saves it: the special tokens in effect are named.
    const { config, specialTokensMap } = await resolvedTokenizerConfig(outputDirectory);
    await write("tokenizer_config.json", jsonText(config));
    await write("special_tokens_map.json", jsonText(specialTokensMap));
  }
  context.log(
    `tokenizer: ${loaded.vocabSize} ids, mask ${loaded.maskId}, pad ${loaded.padId}, eos ${loaded.eosId}`,
  );
  return { vocab_size: loaded.vocabSize };
}

const jsonText = (value: unknown): string => `${JSON.stringify(value, null, 2)}\n`;

async function trainTokenizer(
  context: StageContext,
  {
    vocab_size: vocabSize,
    added_tokens: addedTokens,
    text: sources,
  }: Extract<PrepareTokenizerParams["tokenizer"], { source: "train" }>,
  chatTemplate: string | null,
): Promise<void> {
  const smallest = SMALLEST_VOCAB_SIZE + addedTokens.length;
  if (vocabSize < smallest) {
    throw new DllmError(`vocab_size is ${vocabSize}`, {
      exitCode: ExitCode.invalidInput,
      details: [`expected at least ${smallest}: all bytes, the added and the special tokens`],
    });
  }
  const { train = [] } = await readSources(context, sources, { testFraction: 0, seed: 0 });
  const render = chatRenderer(chatTemplate ?? defaultChatTemplate);
  const texts = train.map((row) =>
    typeof row.value === "object" && ("messages" in row.value || "instruction" in row.value)
      ? render(messagesOf(row.value, row.where))
      : textOf(row, "text"),
  );
  context.progress({ done: 0, unit: "merge", message: `training on ${texts.length} rows` });
  const trained = trainBpe(texts, vocabSize, addedTokens);
  const files = bpeTokenizerFiles(trained);
  for (const [file, content] of Object.entries(files)) {
    await writeFile(join(context.outputDirectory, file), jsonText(content));
  }
  context.log(`trained ${trained.merges.length} merges on ${texts.length} rows`);
}

/** What both kinds of data begin with: the tokenizer, the rows by split, and their progress. */
async function openSplits(
  context: StageContext,
  { sources, test_fraction: testFraction, seed }: PrepareTextParams | PrepareChatParams,
) {
  const tokenizer = await loadTokenizer(context.input("tokenizer"));
  const splits = await readSources(context, sources, { testFraction, seed });
  return { tokenizer, splits, progress: countRows(context, splits) };
}

async function prepareText(context: StageContext, params: PrepareTextParams): Promise<JsonObject> {
  const { tokenizer, splits, progress } = await openSplits(context, params);
  const infos: Record<string, SplitInfo> = {};
  for (const [split, sourceRows] of Object.entries(splits)) {
    const texts = sourceRows.map((row) => textOf(row, params.text_field));
    const rows: TokenRow[] = [];
    let done = 0;
    for (const batch of chunkTexts(texts, tokenizer, {
      maxLength: params.max_length,
      insertEos: params.insert_eos,
      dropTail: params.drop_tail,
    })) {
      for (const ids of batch.chunks) rows.push({ ids, promptLength: 0 });
      progress(batch.rowsDone - done);
      done = batch.rowsDone;
      checkStop(context);
      await breathe();
    }
    infos[split] = { ...countTokens(rows), source_rows: texts.length };
    await writeSplit(context, split, rows);
  }
  return finish(context, { task: "text", maxLength: params.max_length, tokenizer, infos });
}

async function prepareChat(context: StageContext, params: PrepareChatParams): Promise<JsonObject> {
  const { tokenizer, splits, progress } = await openSplits(context, params);
  const infos: Record<string, SplitInfo> = {};
  for (const [split, sourceRows] of Object.entries(splits)) {
    const rows: ChatRow[] = [];
    const kept: SourceRow[] = [];
    let truncated = 0;
    let nothingTrained = 0;
    let prefixBroken = 0;
    for (const [index, sourceRow] of sourceRows.entries()) {
      const row = chatRow(conversationOf(sourceRow), tokenizer, {
        maskPromptLoss: params.mask_prompt_loss,
      });
      const fitted = fitRow(row, { maxLength: params.max_length, truncation: params.truncation });
      if (fitted !== undefined) {
        if (fitted.ids.length < row.ids.length) truncated++;
        if (trainedTokens(fitted) === 0) nothingTrained++;
        if (!row.promptIsPrefix) prefixBroken++;
        rows.push(fitted);
        kept.push(sourceRow);
      }
      if (index % PROGRESS_ROWS === PROGRESS_ROWS - 1) {
        progress(PROGRESS_ROWS);
        checkStop(context);
        await breathe();
      }
    }
    progress(sourceRows.length % PROGRESS_ROWS);
    infos[split] = {
      ...countTokens(rows),
      source_rows: sourceRows.length,
      dropped: sourceRows.length - rows.length,
      truncated,
      nothing_trained: nothingTrained,
      prompt_not_prefix: prefixBroken,
    };
    await writeSplit(context, split, rows);
    const lines = kept.map(({ value }) => JSON.stringify(value) + "\n");
    await writeFile(join(context.outputDirectory, `${split}.jsonl`), lines.join(""));
  }
  return finish(context, { task: "chat", maxLength: params.max_length, tokenizer, infos });
}

const PROGRESS_ROWS = 500;

function conversationOf({ value, where }: SourceRow): ReturnType<typeof messagesOf> {
  if (typeof value === "object") return messagesOf(value, where);
  throw new DllmError(`${where}: plain text, not conversations`, {
    exitCode: ExitCode.invalidInput,
    details: ['expected .jsonl or .json rows with "messages"'],
  });
}

/** Reads, splits, limits and joins the sources of a mix. */
async function readSources(
  context: StageContext,
  sources: readonly SourceParams[],
  { testFraction, seed }: { testFraction: number; seed: number },
): Promise<Record<string, SourceRow[]>> {
  const datasets = [];
  for (const source of sources) {
    context.progress({ done: datasets.length, unit: "source", message: `reading ${source.name}` });
    const read = await readSource(source, locationOf(context.job.locations, source.name));
    const splits = limitSplits(withTestSplit(read, testFraction, seed), source.options, {
      dataset: source.name,
    });
    for (const [split, rows] of Object.entries(splits)) {
      context.log(`${source.name}: ${rows.length} rows in ${split}`);
    }
    datasets.push(splits);
    checkStop(context);
    await breathe();
  }
  return mergeSplits(datasets);
}

function locationOf(locations: Readonly<Record<string, string>>, name: string): string {
  const location = locations[name];
  if (location === undefined) throw new Error(`the job names no location of "${name}"`);
  return location;
}

function countRows(
  context: StageContext,
  splits: Readonly<Record<string, readonly SourceRow[]>>,
): (rows: number) => void {
  const total = Object.values(splits).reduce((sum, rows) => sum + rows.length, 0);
  let done = 0;
  return (rows) => {
    done += rows;
    context.progress({ done, total, unit: "row" });
  };
}

function countTokens(rows: readonly TokenRow[]): SplitInfo {
  let tokens = 0;
  let trained = 0;
  let longest = 0;
  for (const row of rows) {
    tokens += row.ids.length;
    trained += trainedTokens(row);
    longest = Math.max(longest, row.ids.length);
  }
  return {
    rows: rows.length,
    tokens,
    trained_tokens: trained,
    trained_share: tokens === 0 ? 0 : trained / tokens,
    longest,
  };
}

async function writeSplit(
  { outputDirectory }: StageContext,
  split: string,
  rows: readonly TokenRow[],
): Promise<void> {
  // An evaluation may live with an empty test split, training not with an empty train split.
  if (rows.length === 0 && split === "train") {
    throw new DllmError("no row is left to train on", {
      exitCode: ExitCode.invalidInput,
      details: ["every row was dropped or empty; raise max_length, or check dataset_args"],
    });
  }
  await writeTokenSplit(outputDirectory, split, rows);
}

/** Writes dataset.json; returns the statistics flat, for result.json. */
async function finish(
  context: StageContext,
  prepared: {
    task: "text" | "chat";
    maxLength: number;
    tokenizer: Tokenizer;
    infos: Readonly<Record<string, SplitInfo>>;
  },
): Promise<JsonObject> {
  const { task, maxLength, tokenizer, infos } = prepared;
  if (infos["train"] === undefined) {
    throw new DllmError("the datasets have no train split", {
      exitCode: ExitCode.invalidInput,
      details: [`found: ${Object.keys(infos).join(", ")}`],
    });
  }
  await writeDatasetInfo(context.outputDirectory, {
    schema: 1,
    task,
    splits: infos,
    padding: task === "chat" ? "trainable" : "masked",
    max_length: maxLength,
    vocab_size: tokenizer.vocabSize,
    pad_id: tokenizer.padId,
  });
  const figures: Record<string, number> = {};
  for (const [split, info] of Object.entries(infos)) {
    for (const [statistic, value] of Object.entries(info)) figures[`${split}_${statistic}`] = value;
    if (info["prompt_not_prefix"]) {
      context.log(
        `${split}: in ${info["prompt_not_prefix"]} rows the prompt's tokens are no prefix of the row's`,
      );
    }
    if (info["nothing_trained"]) {
      context.log(`${split}: ${info["nothing_trained"]} truncated rows have nothing to train`);
    }
  }
  return figures;
}
