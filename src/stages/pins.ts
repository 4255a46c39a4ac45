/**
 * @file Looks at everything that a recipe names on disk and pins it: which files, how long, which
 * hash. What is missing is reported where the recipe names it.
 */
import { readdir } from "node:fs/promises";
import { availableParallelism } from "node:os";
import { DllmError, ExitCode, errorCode } from "../base/errors.js";
import { ioError } from "../base/fs.js";
import { datasetParts, type DatasetPart } from "../data/dataset-args.js";
import { isHubName } from "../data/hub-name.js";
import { weightsOf } from "../data/mix.js";
import { checkColumns } from "../data/row-columns.js";
import type { HubRevision, SourceParams } from "../plan/params.js";
import type { Locations, PinnedDirectory, Pins } from "../plan/pins.js";
import type { LoadedRecipe } from "../recipe/load.js";
import type { DatasetArgs } from "../recipe/schema.js";
import { trainingSections } from "../recipe/stage-sections.js";
import { isModelFile, isTokenizerFile } from "./model-files.js";

export interface PinnedInputs {
  pins: Pins;
  locations: Locations;
  /** CPU cores that this process may use. */
  cores: number;
}

/**
 * Commits that hub sources are known to be at, by `dataset owner/name` or `model owner/name`, so
 * that planning needs no network.
 */
export type KnownCommits = Readonly<Record<string, HubRevision>>;

/** Returns what every source, tokenizer and model of a recipe contains, and where it is. */
export function pinInputs(loaded: LoadedRecipe, known: KnownCommits = {}): Promise<PinnedInputs> {
  return pin(loaded, known, { datasets: () => true, model: true });
}

const TOKENIZER_DATASETS = "tokenizer.train.dataset_args";

/** Returns what of a recipe's inputs its tokenizer needs: no more is looked at. */
export function pinTokenizer(
  loaded: LoadedRecipe,
  known: KnownCommits = {},
): Promise<PinnedInputs> {
  const datasets = (keyPath: string): boolean => keyPath === TOKENIZER_DATASETS;
  return pin(loaded, known, { datasets, model: false });
}

interface Wanted {
  /** Whether the datasets at a key path are. */
  datasets: (keyPath: string) => boolean;
  model: boolean;
}

async function pin(
  loaded: LoadedRecipe,
  known: KnownCommits,
  wanted: Wanted,
): Promise<PinnedInputs> {
  const locations = new Map<string, string>();
  const datasets: Record<string, readonly SourceParams[]> = {};
  for (const { keyPath, parts } of parseDatasets(loaded)) {
    if (!wanted.datasets(keyPath)) continue;
    datasets[keyPath] = await pinDatasets(loaded, { keyPath, parts, locations, known });
  }
  const model = wanted.model ? await pinModel(loaded, locations, known) : undefined;
  const tokenizer = await pinTokenizerFiles(loaded, locations, known);
  return {
    pins: {
      datasets,
      ...(model !== undefined && { model }),
      ...(tokenizer !== undefined && { tokenizer }),
    },
    locations: Object.fromEntries(locations),
    cores: availableParallelism(),
  };
}

export interface RecipeDatasets {
  /** Where the recipe names them: `sft.dataset_args`. */
  keyPath: string;
  parts: readonly DatasetPart[];
}

/**
 * Returns the datasets that a recipe names, without looking for them.
 * @throws RecipeError for a string that is not of the grammar, or columns that are not read
 */
export function parseDatasets(loaded: LoadedRecipe): RecipeDatasets[] {
  const { tokenizer, dataset_separators: separators } = loaded.recipe;
  const named: { keyPath: string; args: DatasetArgs; kind?: "pretrain" | "sft" }[] =
    trainingSections(loaded.recipe).map(({ keyPath, kind, settings }) => ({
      keyPath: `${keyPath}.dataset_args`,
      args: settings.dataset_args,
      kind,
    }));
  const train = tokenizer?.train;
  if (train !== undefined) {
    named.unshift({ keyPath: TOKENIZER_DATASETS, args: train.dataset_args });
  }
  return named.map(({ keyPath, args, kind }) => {
    const parts = loaded.at(keyPath, () => {
      const found = datasetParts(args, separators);
      for (const part of found) checkColumns(part, kind);
      weightsOf(found);
      return found;
    });
    return { keyPath, parts };
  });
}

async function pinDatasets(
  loaded: LoadedRecipe,
  {
    keyPath,
    parts,
    locations,
    known,
  }: RecipeDatasets & { locations: Map<string, string>; known: KnownCommits },
): Promise<SourceParams[]> {
  const { checkOptions, pinSource } = await import("../data/sources.js");
  const baseDirectory = loaded.directoryOf(keyPath);
  const sources: SourceParams[] = [];
  for (const part of parts) {
    const { name } = part;
    try {
      const { location, files } = await pinSource(part, { baseDirectory });
      locations.set(name, location);
      sources.push(sourceParams(part, { files }));
    } catch (error) {
      if (!isAbsent(error) || !isHubName(name, baseDirectory)) throw atKey(loaded, keyPath, error);
      loaded.at(keyPath, () => checkOptions(part));
      const hub = hubRevision(part.revision, known[`dataset ${name}`]);
      sources.push(sourceParams(part, { files: [], hub }));
    }
  }
  return sources;
}

/** Returns a dataset as a stage's parameters name it. */
export function sourceParams(
  { name, options, config, split, weight, maxSamples }: DatasetPart,
  pinned: Pick<SourceParams, "files" | "hub">,
): SourceParams {
  return {
    name,
    options,
    ...pinned,
    ...(config !== undefined && { config }),
    ...(split !== undefined && { split }),
    ...(weight !== undefined && { weight }),
    ...(maxSamples !== undefined && { max_samples: maxSamples }),
  };
}

/** Returns what is known of a revision: a commit says itself what it is. */
export function hubRevision(revision = "main", known: HubRevision | undefined): HubRevision {
  if (/^[0-9a-f]{40}$/.test(revision)) return { revision, commit: revision };
  return known?.revision === revision ? known : { revision };
}

/** Whether an error says that something is not there. */
export function isAbsent(error: unknown): boolean {
  return error instanceof DllmError && error.exitCode === ExitCode.notFound;
}

async function pinModel(
  loaded: LoadedRecipe,
  locations: Map<string, string>,
  known: KnownCommits,
): Promise<PinnedDirectory | undefined> {
  const { name_or_path: name, revision } = loaded.recipe.model;
  if (name === undefined) return undefined;
  const model = await pinDirectory(loaded, {
    keyPath: "model.name_or_path",
    name,
    revision,
    locations,
    known,
    required: ["config.json"],
    isPart: isModelFile,
  });
  const { hub, files } = model;
  if (hub === undefined && !files.some(({ path }) => path.endsWith(".safetensors"))) {
    throw loaded.errorAt("model.name_or_path", {
      message: `model ${name} has no weights in safetensors format`,
      details: [`looked in ${locations.get(name)}`],
      exitCode: ExitCode.notFound,
    });
  }
  return model;
}

/** A model brings its tokenizer unless one is named or trained. */
async function pinTokenizerFiles(
  loaded: LoadedRecipe,
  locations: Map<string, string>,
  known: KnownCommits,
): Promise<PinnedDirectory | undefined> {
  const { model, tokenizer } = loaded.recipe;
  const own = tokenizer?.name_or_path;
  const name = own ?? (tokenizer?.train === undefined ? model.name_or_path : undefined);
  if (name === undefined) return undefined;
  return pinDirectory(loaded, {
    keyPath: own === undefined ? "model.name_or_path" : "tokenizer.name_or_path",
    name,
    revision: own === undefined ? model.revision : undefined,
    locations,
    known,
    required: ["tokenizer.json"],
    isPart: isTokenizerFile,
  });
}

interface DirectoryToPin {
  keyPath: string;
  name: string;
  revision: string | undefined;
  locations: Map<string, string>;
  known: KnownCommits;
  required: readonly string[];
  isPart: (file: string) => boolean;
}

async function pinDirectory(
  loaded: LoadedRecipe,
  { keyPath, name, revision, locations, known, required, isPart }: DirectoryToPin,
): Promise<PinnedDirectory> {
  const { findSource, pinFiles } = await import("../data/sources.js");
  const what = keyPath.slice(0, keyPath.indexOf("."));
  const baseDirectory = loaded.directoryOf(keyPath);
  let location: string;
  try {
    location = await findSource(name, baseDirectory, "BASE_MODELS_DIR");
  } catch (error) {
    if (!isAbsent(error) || !isHubName(name, baseDirectory)) throw atKey(loaded, keyPath, error);
    // A tokenizer that comes with the model is of the same repository.
    return { name, files: [], hub: hubRevision(revision, known[`model ${name}`]) };
  }
  try {
    const entries = await readdir(location).catch((cause: unknown) => {
      throw errorCode(cause) === "ENOTDIR"
        ? new DllmError(`${what} ${name} is a file, expected a directory`, {
            exitCode: ExitCode.invalidInput,
            cause,
          })
        : ioError("read", location, cause);
    });
    const missing = required.find((file) => !entries.includes(file));
    if (missing !== undefined) {
      throw new DllmError(`${what} ${name} has no ${missing}`, {
        exitCode: ExitCode.notFound,
        details: [`looked in ${location}`],
      });
    }
    locations.set(name, location);
    return { name, files: await pinFiles(location, entries.filter(isPart).sort()) };
  } catch (error) {
    throw atKey(loaded, keyPath, error);
  }
}

/** Returns the same error, at the recipe's value that it is about. */
export function atKey(loaded: LoadedRecipe, keyPath: string, error: unknown): unknown {
  if (!(error instanceof DllmError)) return error;
  const { message, details, exitCode } = error;
  return loaded.errorAt(keyPath, { message, details, exitCode, cause: error });
}
