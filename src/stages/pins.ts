/**
 * @file Looks at everything that a recipe names on disk and pins it: which files, how long, which
 * hash. What is missing is reported where the recipe names it.
 */
import { readdir } from "node:fs/promises";
import { availableParallelism } from "node:os";
import { DllmError, ExitCode, errorCode } from "../base/errors.js";
import { ioError } from "../base/fs.js";
import { parseDatasetArgs, type DatasetPart } from "../data/dataset-args.js";
import type { SourceParams } from "../plan/params.js";
import type { Locations, PinnedDirectory, Pins } from "../plan/pins.js";
import type { LoadedRecipe } from "../recipe/load.js";

const TOKENIZER_FILES = [
  "chat_template.jinja",
  "special_tokens_map.json",
  "tokenizer.json",
  "tokenizer_config.json",
] as const;

export interface PinnedInputs {
  pins: Pins;
  locations: Locations;
  /** CPU cores that this process may use. */
  cores: number;
}

/** Returns what every source, tokenizer and model of a recipe contains, and where it is. */
export async function pinInputs(loaded: LoadedRecipe): Promise<PinnedInputs> {
  const locations = new Map<string, string>();
  const datasets: Record<string, readonly SourceParams[]> = {};
  for (const { keyPath, parts } of parseDatasets(loaded)) {
    datasets[keyPath] = await pinDatasets(loaded, { keyPath, parts, locations });
  }
  const { model, tokenizer } = await pinDirectories(loaded, locations);
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
 * @throws RecipeError for a string that is not of the grammar
 */
export function parseDatasets(loaded: LoadedRecipe): RecipeDatasets[] {
  const { tokenizer, pretrain, sft, dataset_separators: separators } = loaded.recipe;
  const texts = {
    "tokenizer.train.dataset_args": tokenizer?.train?.dataset_args,
    "pretrain.dataset_args": pretrain?.dataset_args,
    "sft.dataset_args": sft?.dataset_args,
  };
  const found: RecipeDatasets[] = [];
  for (const [keyPath, text] of Object.entries(texts)) {
    if (text === undefined || typeof text !== "string") continue;
    try {
      found.push({ keyPath, parts: parseDatasetArgs(text, separators) });
    } catch (error) {
      throw atKey(loaded, keyPath, error);
    }
  }
  return found;
}

async function pinDatasets(
  loaded: LoadedRecipe,
  { keyPath, parts, locations }: RecipeDatasets & { locations: Map<string, string> },
): Promise<SourceParams[]> {
  const { pinSource } = await import("../data/sources.js");
  const sources: SourceParams[] = [];
  for (const part of parts) {
    try {
      const { location, files } = await pinSource(part, {
        baseDirectory: loaded.directoryOf(keyPath),
      });
      locations.set(part.name, location);
      sources.push({ name: part.name, options: part.options, files });
    } catch (error) {
      throw atKey(loaded, keyPath, error);
    }
  }
  return sources;
}

/** The model's and the tokenizer's directory; a model brings its tokenizer unless one is named. */
async function pinDirectories(
  loaded: LoadedRecipe,
  locations: Map<string, string>,
): Promise<{ model?: PinnedDirectory; tokenizer?: PinnedDirectory }> {
  const { recipe } = loaded;
  const pins: { model?: PinnedDirectory; tokenizer?: PinnedDirectory } = {};
  const modelName = recipe.model.name_or_path;
  if (modelName !== undefined) {
    pins.model = await pinDirectory(loaded, {
      keyPath: "model.name_or_path",
      name: modelName,
      locations,
      required: ["config.json"],
      isPart: (file) => file === "config.json" || isWeights(file) || isTokenizerFile(file),
    });
    if (!pins.model.files.some(({ path }) => path.endsWith(".safetensors"))) {
      throw loaded.errorAt("model.name_or_path", {
        message: `model ${modelName} has no weights in safetensors format`,
        details: [`looked in ${locations.get(modelName)}`],
        exitCode: ExitCode.notFound,
      });
    }
  }
  const trains = recipe.tokenizer?.train !== undefined;
  const tokenizerName = recipe.tokenizer?.name_or_path ?? (trains ? undefined : modelName);
  if (tokenizerName !== undefined) {
    pins.tokenizer = await pinDirectory(loaded, {
      keyPath:
        recipe.tokenizer?.name_or_path === undefined
          ? "model.name_or_path"
          : "tokenizer.name_or_path",
      name: tokenizerName,
      locations,
      required: ["tokenizer.json"],
      isPart: isTokenizerFile,
    });
  }
  return pins;
}

function isTokenizerFile(file: string): boolean {
  return (TOKENIZER_FILES as readonly string[]).includes(file);
}

function isWeights(file: string): boolean {
  return file.endsWith(".safetensors") || file === "model.safetensors.index.json";
}

interface DirectoryToPin {
  keyPath: string;
  name: string;
  locations: Map<string, string>;
  required: readonly string[];
  isPart: (file: string) => boolean;
}

async function pinDirectory(
  loaded: LoadedRecipe,
  { keyPath, name, locations, required, isPart }: DirectoryToPin,
): Promise<PinnedDirectory> {
  const { findSource, pinFiles } = await import("../data/sources.js");
  const what = keyPath.slice(0, keyPath.indexOf("."));
  try {
    const location = await findSource(name, loaded.directoryOf(keyPath));
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

/** The same error, at the recipe's value that it is about. */
function atKey(loaded: LoadedRecipe, keyPath: string, error: unknown): unknown {
  if (!(error instanceof DllmError)) return error;
  const { message, details, exitCode } = error;
  return loaded.errorAt(keyPath, { message, details, exitCode, cause: error });
}
