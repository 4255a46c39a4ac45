/**
 * @file A sample of a dataset for a preview: the first rows of its training split, read as the
 * stage would read them, from as few files as hold them. Nothing is hashed and no more is
 * downloaded than the first file.
 */
import { join } from "node:path";
import type { DatasetPart } from "../data/dataset-args.js";
import { fileRows } from "../data/formats/file-rows.js";
import type { SourceRow } from "../data/formats/row.js";
import { isHubName } from "../data/hub-name.js";
import type { SplitFiles } from "../data/hub-layout.js";
import { openHubSource, resolveHubDataset } from "../data/open-source.js";
import { rowReader, type RowReader } from "../data/row-mapping.js";
import { checkOptions, findFiles } from "../data/sources.js";
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
    const { paths, params, isAll } = await openTrainFiles(world, part, keyPath);
    const { name, config, options } = params;
    const reader = rowReader({ name, config, options, textField });
    const { skip, most } = limitsOf(part, paths.splits);
    const rows: SourceRow[] = [];
    let isWhole = isAll;
    let seen = 0;
    for await (const row of rowsOf(paths.train)) {
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
  paths: { train: readonly string[]; splits: readonly string[] };
  /** Whether these are all files of the split. */
  isAll: boolean;
}

async function openTrainFiles(
  { loaded, hub, known }: SampleWorld,
  part: DatasetPart,
  keyPath: string,
): Promise<TrainFiles> {
  const baseDirectory = loaded.directoryOf(keyPath);
  const found = await findFiles(part, { baseDirectory }).catch((error: unknown) => {
    if (!isAbsent(error) || !isHubName(part.name, baseDirectory)) throw error;
    return undefined;
  });
  if (found !== undefined) {
    const { location, splits } = found;
    const train = (splits["train"] ?? []).map((file) => join(location, file));
    const params = sourceParams(part, { files: [] });
    return { params, paths: { train, splits: Object.keys(splits) }, isAll: true };
  }
  checkOptions(part);
  const revision = hubRevision(part.revision, known[`dataset ${part.name}`]);
  const commit = revision.commit ?? (await resolveHubDataset(hub(), part));
  const params = sourceParams(part, { files: [], hub: { ...revision, commit } });
  let splits: SplitFiles = {};
  const source = await openHubSource(hub(), params, {
    only(all) {
      splits = all;
      return { train: (all["train"] ?? []).slice(0, 1) };
    },
  });
  const train = source.splits["train"]!;
  const isAll = train.length === (splits["train"] ?? []).length;
  return { params, paths: { train, splits: Object.keys(splits) }, isAll };
}
