/**
 * @file The data of a streamed training: its rows stay where they are, and the artifact says how
 * they are read. What is held out is prepared: the test split that a dataset brings, or the first
 * rows of `[test:N]`, as the reference's streaming loader takes them.
 * Source: ZHZisZZ/dllm@ca17675 dllm/data/utils.py.
 */
import { removePath, temporaryPath } from "../base/fs.js";
import type { JsonObject } from "../base/json.js";
import { countFileRows } from "../data/formats/file-rows.js";
import { weightsOf } from "../data/mix.js";
import { rowReader } from "../data/row-mapping.js";
import { streamFiles, type StreamFiles } from "../data/stream/stream-files.js";
import type { StreamSpec } from "../data/stream/stream-spec.js";
import type { PrepareTextParams, SourceParams } from "../plan/params.js";
import type { StageContext } from "../plan/stage.js";
import { tokenizeSettings } from "./mix-rows.js";
import { checkStop, stageHub, wantedRows, type MixSource } from "./open-sources.js";
import { tokenizeMix } from "./tokenize-mix.js";
import { finishDataset, writeSplit, type WrittenSplits } from "./write-split.js";

export async function prepareStream(
  context: StageContext,
  params: PrepareTextParams,
): Promise<JsonObject> {
  const stream: StreamSpec = {
    sources: params.sources,
    text_field: params.text_field,
    max_length: params.max_length,
    insert_eos: params.insert_eos,
    drop_tail: params.drop_tail,
    on_bad_row: params.on_bad_row,
    max_bad_row_ratio: params.max_bad_row_ratio,
    seed: params.seed,
    ...(weightsOf(params.sources) !== undefined && {
      stopping_strategy: params.stopping_strategy ?? "first_exhausted",
    }),
  };
  const written: WrittenSplits = { splits: {}, sources: [] };
  // Beside the output: what a killed attempt leaves there goes when the next one begins.
  const scratch = temporaryPath(context.outputDirectory);
  try {
    const sources = await openHeldOut(context, params, scratch);
    await writeHeldOut(context, params, { sources, written });
  } finally {
    await removePath(scratch);
  }
  context.log(`training reads ${params.sources.map(({ name }) => name).join(" + ")} itself`);
  return finishDataset(context, params, { ...written, stream });
}

async function writeHeldOut(
  context: StageContext,
  params: PrepareTextParams,
  { sources, written }: { sources: readonly MixSource[]; written: WrittenSplits },
): Promise<void> {
  const ids = sources.flatMap(({ rows }) => rows["test"]!);
  if (ids.length === 0) return;
  const mix = await tokenizeMix(context, {
    sources,
    needed: ids,
    keepLines: new Set(),
    settings: tokenizeSettings(params),
    badRows: params,
  });
  try {
    await writeSplit(context, params, { sources, mix, split: "test", ids, written });
  } finally {
    mix.shards.close();
    await mix.lines.close();
  }
}

/** The sources that hold rows out, with nothing but these rows. */
async function openHeldOut(
  context: StageContext,
  { sources, text_field: textField }: PrepareTextParams,
  scratch: string,
): Promise<MixSource[]> {
  const opened: MixSource[] = [];
  let first = 0;
  for (const params of sources) {
    checkStop(context);
    const { name, config, options } = params;
    const files = await streamFiles(params, {
      locations: context.job.locations,
      hub: () => stageHub(context),
      scratch,
    });
    const { split, most } = heldOut(params, files);
    if (most === 0) continue;
    const reader = rowReader({ name, config, options, textField });
    const { paths, rows: count } = await openRows(files, split, most);
    const source = { name, splits: { test: paths } };
    const all = await wantedRows(source, { counts: { test: count }, first, reader, options });
    const rows = { test: all["test"]!.slice(0, most) };
    opened.push({ ...source, params, reader, rows, first, end: first + count });
    context.log(`${name}: ${rows.test.length} rows are held out`);
    first += count;
  }
  return opened;
}

/** Where a source's held-out rows are, and how many of them at most. */
function heldOut(
  { options, max_samples: maxSamples = Infinity }: SourceParams,
  { splits }: StreamFiles,
): { split: string; most: number } {
  const { test } = options;
  const limit = typeof test === "number" ? test : undefined;
  if (splits.includes("test"))
    return { split: "test", most: Math.min(limit ?? Infinity, maxSamples) };
  return { split: "train", most: limit ?? 0 };
}

/** As many of a split's files as hold so many rows. */
async function openRows(
  files: StreamFiles,
  split: string,
  most: number,
): Promise<{ paths: string[]; rows: number }> {
  const paths: string[] = [];
  let rows = 0;
  for (const name of files.names(split)) {
    if (rows >= most) break;
    const path = await files.open(name);
    paths.push(path);
    rows += await countFileRows(path);
  }
  return { paths, rows };
}
