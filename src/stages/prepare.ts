/**
 * @file The `prepare` stage: brings a model, brings or trains a tokenizer, turns text or
 * conversations into token rows. Reads pinned files and pinned revisions only, and refuses them
 * when their content is another.
 */
import { createReadStream } from "node:fs";
import { join } from "node:path";
import { DllmError, ExitCode } from "../base/errors.js";
import { writeFile } from "../base/fs.js";
import type { JsonObject } from "../base/json.js";
import { SMALLEST_VOCAB_SIZE, bpeTokenizerFiles, trainBpe } from "../data/bpe-trainer.js";
import { chatRenderer, defaultChatTemplate } from "../data/chat-template.js";
import { pinnedRepository, sourceRows } from "../data/open-source.js";
import { limitSplits } from "../data/splits.js";
import { pinnedFilePieces } from "../data/sources.js";
import { loadTokenizer, resolvedTokenizerConfig } from "../data/tokenizer.js";
import { listFiles } from "../hub/repository.js";
import { downloadFiles } from "../hub/snapshot.js";
import { openWeights } from "../model/weight-files.js";
import type {
  HubRevision,
  PinnedFile,
  PrepareModelParams,
  PrepareParams,
  PrepareTokenizerParams,
} from "../plan/params.js";
import type { StageContext, StageImplementation } from "../plan/stage.js";
import { isModelFile, isTokenizerFile } from "./model-files.js";
import { checkStop, locationOf, openSources, stageHub, stoppable } from "./open-sources.js";
import { prepareData } from "./prepare-data.js";

export const run: StageImplementation = async (context) => {
  const params = context.job.params as unknown as PrepareParams;
  switch (params.task) {
    case "tokenizer":
      return prepareTokenizer(context, params);
    case "text":
    case "chat":
      return prepareData(context, params);
    case "model":
      return prepareModel(context, params);
  }
};

/** Brings a model that exists into the store, its weights checked. */
async function prepareModel(
  context: StageContext,
  params: PrepareModelParams,
): Promise<JsonObject> {
  const { files, bytes } = await bringFiles(context, params, isModelFile);
  // An index may name shards that are not there, or lead out of the directory.
  const weights = await openWeights(context.outputDirectory);
  await weights.close();
  context.log(`${params.name}: ${files} files, ${bytes} bytes`);
  return { bytes };
}

interface NamedFiles {
  name: string;
  files: readonly PinnedFile[];
  hub?: HubRevision;
}

/** Copies files into the output directory, checked while they are read. */
async function bringFiles(
  context: StageContext,
  source: NamedFiles,
  isPart: (path: string) => boolean,
): Promise<{ files: number; bytes: number }> {
  if (source.hub !== undefined) return bringHubFiles(context, source, isPart);
  const { name, files } = source;
  const location = locationOf(context, name);
  const total = files.reduce((sum, { bytes }) => sum + bytes, 0);
  let done = 0;
  for (const file of files) {
    const pieces = pinnedFilePieces(location, file);
    await writeFile(join(context.outputDirectory, file.path), pieces);
    done += file.bytes;
    context.progress({ done, total, unit: "byte", message: file.path });
    checkStop(context);
  }
  return { files: files.length, bytes: total };
}

async function bringHubFiles(
  context: StageContext,
  source: NamedFiles,
  isPart: (path: string) => boolean,
): Promise<{ files: number; bytes: number }> {
  const hub = stageHub(context);
  const repository = pinnedRepository("model", source);
  const files = (await listFiles(hub, repository)).filter(({ path }) => isPart(path));
  const total = files.reduce((sum, { bytes }) => sum + bytes, 0);
  let done = 0;
  const paths = await stoppable(context, (signal) =>
    downloadFiles(hub, repository, files, {
      signal,
      onBytes(bytes) {
        done += bytes;
        context.progress({ done, total, unit: "byte", message: `downloading ${source.name}` });
      },
    }),
  );
  for (const [i, { path }] of files.entries()) {
    const pieces = createReadStream(paths[i]!, { highWaterMark: 1 << 20 });
    await writeFile(join(context.outputDirectory, path), pieces as AsyncIterable<Buffer>);
    checkStop(context);
  }
  return { files: files.length, bytes: total };
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
    await bringFiles(context, tokenizer, isTokenizerFile);
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
  const render = chatRenderer(chatTemplate ?? defaultChatTemplate);
  const texts: string[] = [];
  for (const source of await openSources(context, sources, "text")) {
    const { reader, rows } = source;
    const { train: only = [] } = limitSplits(rows, source.params.options, { dataset: source.name });
    const wanted = new Set(only.slice(0, source.params.max_samples ?? Infinity));
    let id = source.first;
    for await (const row of sourceRows(source)) {
      if (!wanted.has(id++)) continue;
      if (row.problem !== undefined) throw row.problem;
      texts.push(reader.isText(row) ? reader.text(row) : render(reader.messages(row)));
    }
  }
  context.progress({ done: 0, unit: "merge", message: `training on ${texts.length} rows` });
  const trained = trainBpe(texts, vocabSize, addedTokens);
  const files = bpeTokenizerFiles(trained);
  for (const [file, content] of Object.entries(files)) {
    await writeFile(join(context.outputDirectory, file), jsonText(content));
  }
  context.log(`trained ${trained.merges.length} merges on ${texts.length} rows`);
}
