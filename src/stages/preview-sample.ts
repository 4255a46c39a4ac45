/**
 * @file A sample of a dataset for a preview: the first rows of its training split, read as the
 * stage would read them. Local files are not hashed. Of the hub's, the first one is read: from the
 * cache where it is there, else only its first rows, or the whole where that is not possible.
 */
import { join } from "node:path";
import type { DatasetPart } from "../data/dataset-args.js";
import { fileRows } from "../data/formats/file-rows.js";
import type { SourceRow } from "../data/formats/row.js";
import { isHubName } from "../data/hub-name.js";
import { firstRows } from "../data/first-rows.js";
import { hubSplits, resolveHubDataset } from "../data/open-source.js";
import { rowReader, type RowReader } from "../data/row-mapping.js";
import { checkOptions, findFiles } from "../data/sources.js";
import { cachedFile, downloadFile } from "../hub/download.js";
import type { Hub } from "../hub/hub.js";
import type { SourceParams } from "../plan/params.js";
import { atKey, hubRevision, isAbsent, sourceParams, type KnownCommits } from "./pins.js";
import type { LoadedRecipe } from "../recipe/load.js";

export interface SampleWorld {
  loaded: LoadedRecipe;
  /** Opened when something of it is needed. */
  hub: () => Hub;
  known: KnownCommits;
  /** Rows of each source. */
  sampleRows: number;
}

export interface Sample {
  name: string;
  params: SourceParams;
  reader: RowReader;
  rows: readonly SourceRow[];
  /** Whether the source has no further rows to train on. */
  isWhole: boolean;
}

/**
 * Returns the first training rows of a dataset.
 * @param keyPath where the recipe names it
 * @throws RecipeError as the stage would, at the recipe's key
 */
export async function sampleSource(
  world: SampleWorld,
  part: DatasetPart,
  { keyPath, textField }: { keyPath: string; textField: string },
): Promise<Sample> {
  const { loaded, sampleRows } = world;
  try {
    const { params, splits, isAll, read } = await openTrainFiles(world, part, keyPath);
    const { name, config, options } = params;
    const reader = rowReader({ name, config, options, textField });
    const { skip, most } = limitsOf(part, splits);
    const rows: SourceRow[] = [];
    let isWhole = isAll;
    let seen = 0;
    // One more than is shown: whether there is one.
    for await (const row of read(skip + Math.min(most, sampleRows) + 1)) {
      if (options["lang"] !== undefined && (row.problem || !reader.isWanted(row))) continue;
      if (seen++ < skip) continue;
      if (rows.length === Math.min(most, sampleRows)) {
        isWhole = rows.length === most;
        break;
      }
      rows.push(row);
    }
    return { name, params, reader, rows, isWhole };
  } catch (error) {
    throw atKey(loaded, keyPath, error);
  }
}

async function* rowsOf(paths: readonly string[]): AsyncGenerator<SourceRow> {
  for (const path of paths) yield* fileRows(path);
}

/** As limitSplits: of a single split the test rows come first. */
function limitsOf(
  { options, maxSamples = Infinity }: DatasetPart,
  splits: readonly string[],
): { skip: number; most: number } {
  const { train, test } = options;
  return {
    skip: splits.length === 1 && typeof test === "number" ? test : 0,
    most: Math.min(maxSamples, typeof train === "number" ? train : Infinity),
  };
}

interface TrainFiles {
  params: SourceParams;
  /** Names of the splits. */
  splits: readonly string[];
  /** Whether all files of the training split are read. */
  isAll: boolean;
  /** Yields its rows: so many of them, or more. */
  read(rows: number): AsyncGenerator<SourceRow>;
}

async function openTrainFiles(
  world: SampleWorld,
  part: DatasetPart,
  keyPath: string,
): Promise<TrainFiles> {
  const baseDirectory = world.loaded.directoryOf(keyPath);
  const found = await findFiles(part, { baseDirectory }).catch((error: unknown) => {
    if (!isAbsent(error) || !isHubName(part.name, baseDirectory)) throw error;
    return undefined;
  });
  if (found === undefined) return openHubFiles(world, part);
  const { location, splits } = found;
  const train = (splits["train"] ?? []).map((file) => join(location, file));
  return {
    params: sourceParams(part, { files: [] }),
    splits: Object.keys(splits),
    isAll: true,
    read: () => rowsOf(train),
  };
}

async function openHubFiles(
  { hub: open, known }: SampleWorld,
  part: DatasetPart,
): Promise<TrainFiles> {
  checkOptions(part);
  const hub = open();
  const revision = hubRevision(part.revision, known[`dataset ${part.name}`]);
  const commit = revision.commit ?? (await resolveHubDataset(hub, part));
  const params = sourceParams(part, { files: [], hub: { ...revision, commit } });
  const { repository, splits, byPath } = await hubSplits(hub, params);
  const train = splits["train"]!;
  const file = byPath.get(train[0]!)!;
  return {
    params,
    splits: Object.keys(splits),
    isAll: train.length === 1,
    async *read(rows) {
      const cached = await cachedFile(hub, repository, file);
      // Which rows are of a language is known when they are read.
      const isInParts = cached === undefined && params.options["lang"] === undefined;
      const first = isInParts ? await firstRows(hub, { repository, file, rows }) : undefined;
      if (first !== undefined) yield* first;
      else yield* fileRows(cached ?? (await downloadFile(hub, repository, file)));
    },
  };
}
