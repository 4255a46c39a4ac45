/**
 * @file Where data comes from: local files and folders, files that an npm package ships, and
 * datasets of the hub. `pinSource` finds and hashes local ones when a run is planned;
 * open-source.ts reads them later and refuses contents that have changed since.
 *
 * A folder is read as: `train` and `test` with one of the readable endings; or all of its `.txt`,
 * as train; or a copy of a dataset's repository, laid out as on the hub.
 */
import { createHash } from "node:crypto";
import { createReadStream, existsSync, readFileSync } from "node:fs";
import { readdir, stat } from "node:fs/promises";
import { basename, dirname, extname, isAbsolute, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { DllmError, ExitCode, errorCode } from "../base/errors.js";
import { ioError, sha256File } from "../base/fs.js";
import type { PinnedFile } from "../plan/params.js";
import type { DatasetPart } from "./dataset-args.js";
import { formatOf } from "./formats/bytes.js";
import { isReadable, readableEndings } from "./formats/file-rows.js";
import { chooseFiles, datasetLayout } from "./hub-layout.js";
import { knownDataset } from "./known-datasets.js";
import { hubHint } from "./hub-name.js";
import { rowOptions } from "./row-columns.js";
import { rowLimit } from "./splits.js";

const SPLITS = ["train", "test"];
const NPM_PREFIX = "npm:";
const READ_BYTES = 1 << 20;

export interface FoundSource {
  /** Absolute directory that the files' paths are relative to. */
  location: string;
  splits: Readonly<Record<string, readonly string[]>>;
}

/**
 * Finds the files of a dataset.
 *
 * @param part `a/file.jsonl`, `a/folder` (relative to baseDirectory) or `npm:<package>/<path>`
 * @throws DllmError 66 when nothing is there, 65 when it is of no known kind
 */
export async function findFiles(
  part: DatasetPart,
  { baseDirectory }: { baseDirectory: string },
): Promise<FoundSource> {
  const path = await findSource(part.name, baseDirectory, "BASE_DATASETS_DIR");
  const isFolder = (await stat(path)).isDirectory();
  if (!isFolder && !isReadable(path)) {
    throw invalid(`dataset "${part.name}": files ending in "${extname(path)}" cannot be read`, [
      `expected one of ${readableEndings.join(", ")}, or a folder`,
    ]);
  }
  const splits = isFolder
    ? await chooseFolderFiles(part, path)
    : { [splitOf(path)]: [basename(path)] };
  checkOptions(part, Object.values(splits).flat());
  checkLocal(part, isFolder);
  return { location: isFolder ? path : dirname(path), splits };
}

/** Finds the files of a dataset and hashes them. @throws DllmError as findFiles */
export async function pinSource(
  part: DatasetPart,
  options: { baseDirectory: string },
): Promise<{ location: string; files: PinnedFile[] }> {
  const { location, splits } = await findFiles(part, options);
  const files: PinnedFile[] = [];
  for (const [split, names] of Object.entries(splits)) {
    for (const file of await pinFiles(location, names)) {
      files.push(splitOf(file.path) === split ? file : { ...file, split });
    }
  }
  return { location, files };
}

/** Returns the pins of files that exist, in the order given. */
export async function pinFiles(location: string, names: readonly string[]): Promise<PinnedFile[]> {
  const files: PinnedFile[] = [];
  for (const path of names) files.push({ path, ...(await sha256File(join(location, path))) });
  return files;
}

/**
 * Returns the absolute path of a dataset, tokenizer or model named in a recipe.
 * @param baseVariable environment variable of a folder that holds them by name, as dLLM has it
 * @throws DllmError 66 naming every place that was looked in
 */
export async function findSource(
  name: string,
  baseDirectory: string,
  baseVariable?: "BASE_DATASETS_DIR" | "BASE_MODELS_DIR",
): Promise<string> {
  const isPackage = name.startsWith(NPM_PREFIX);
  const path = isPackage ? await findInPackage(name, baseDirectory) : resolve(baseDirectory, name);
  if (await exists(path)) return path;
  const places = [path];
  const base = baseVariable === undefined ? undefined : process.env[baseVariable];
  if (base && !isAbsolute(name) && !isPackage && !name.split(/[\\/]/).includes("..")) {
    const below = resolve(base, name);
    if (await exists(below)) return below;
    places.push(`${below} (${baseVariable})`);
  }
  throw new DllmError(`"${name}": no such file or folder`, {
    exitCode: ExitCode.notFound,
    details: [
      ...places.map((place) => `looked for ${place}`),
      ...(isAbsolute(name) || isPackage
        ? []
        : [
            "names are paths relative to the recipe, npm:<package>/<path>, or owner/name on the hub",
            ...hubHint(name),
          ]),
    ],
  });
}

async function exists(path: string): Promise<boolean> {
  try {
    await stat(path);
    return true;
  } catch (cause) {
    if (errorCode(cause) === "ENOENT" || errorCode(cause) === "ENOTDIR") return false;
    throw ioError("read", path, cause);
  }
}

/** Looks through node_modules upwards, first from the recipe, then from this program. */
async function findInPackage(name: string, baseDirectory: string): Promise<string> {
  const match = /^(@[^/]+\/[^/]+|[^@/][^/]*)\/(.+)$/.exec(name.slice(NPM_PREFIX.length));
  const [packageName, path] = [match?.[1], match?.[2]];
  if (packageName === undefined || path === undefined || path.split("/").includes("..")) {
    throw invalid(`"${name}" is not npm:<package>/<path inside the package>`, []);
  }
  const here = dirname(fileURLToPath(import.meta.url));
  for (const start of [resolve(baseDirectory), here]) {
    for (let directory = start; ; directory = dirname(directory)) {
      const candidate = join(directory, "node_modules", packageName);
      if (await exists(candidate)) return join(candidate, path);
      if (directory === dirname(directory)) break;
    }
  }
  throw new DllmError(`"${name}": the package ${packageName} is not installed`, {
    exitCode: ExitCode.notFound,
    details: [`run: npm install ${packageName}`],
  });
}

/** Refuses what only datasets with configurations, splits or a history have. */
function checkLocal(part: DatasetPart, isFolder: boolean): void {
  const [what, unknown] = isFolder
    ? ["folder", ["revision"] as const]
    : ["file", ["config", "split", "revision"] as const];
  const key = unknown.find((name) => part[name] !== undefined);
  if (key === undefined) return;
  throw invalid(`dataset "${part.name}" is a ${what} here, which has no ${key}`, [
    `found: ${key} "${part[key]}"`,
    "leave it out, or name a dataset of the hub",
  ]);
}

/** Files of a folder by split. */
async function chooseFolderFiles(
  part: DatasetPart,
  folder: string,
): Promise<Readonly<Record<string, readonly string[]>>> {
  const entries = (await readdir(folder)).sort();
  const readable = entries.filter(isReadable);
  const named: Record<string, string[]> = {};
  for (const split of SPLITS) {
    const found = readable.filter((file) => stemOf(file) === split);
    if (found.length > 1) {
      throw invalid(`dataset "${part.name}": several files for split "${split}"`, [
        `found: ${found.join(", ")}`,
        "name the one to read, or keep the others elsewhere",
      ]);
    }
    if (found.length === 1) named[split] = found;
  }
  const isPlain = part.config === undefined && part.split === undefined;
  if (isPlain && named["train"] !== undefined) return named;
  const texts = entries.filter((file) => extname(file) === ".txt");
  if (isPlain && texts.length > 0 && texts.length === readable.length) return { train: texts };
  const all = (await readdir(folder, { recursive: true })).map((file) =>
    file.replaceAll("\\", "/"),
  );
  const readme = join(folder, "README.md");
  const layout = await datasetLayout(
    all.sort(),
    existsSync(readme) ? readFileSync(readme, "utf8") : undefined,
  );
  if (Object.keys(layout.configs).length === 0) {
    throw invalid(`dataset "${part.name}": nothing to read in the folder`, [
      `looked in ${folder}`,
      `expected train and test (${readableEndings.join(", ")}), or .txt files`,
    ]);
  }
  if (layout.leftOut.length > 0) {
    throw invalid(`dataset "${part.name}": files of several formats`, [
      `looked in ${folder}`,
      `found: ${readable.length === 0 ? layout.leftOut.join(", ") : readable.join(", ")}`,
      "name one file, keep the others elsewhere, or say in the folder's README.md which are data",
    ]);
  }
  return chooseFiles(part.name, layout, layoutChoice(part));
}

/** What a part of a mix takes from a dataset that has configurations and splits. */
export function layoutChoice({
  name,
  config,
  split,
}: Pick<DatasetPart, "name" | "config" | "split">): {
  config: string | null | undefined;
  splitNames: Readonly<Record<string, string>>;
} {
  const known = knownDataset(name);
  return {
    config: config ?? known?.config,
    splitNames: { ...known?.splits, ...(split !== undefined && { train: split }) },
  };
}

function stemOf(path: string): string {
  const name = basename(path);
  return name.slice(0, name.toLowerCase().indexOf(formatOf(name)));
}

/** The split that a pinned file belongs to by its name. */
export function splitOf(path: string): string {
  const stem = stemOf(path);
  return SPLITS.includes(stem) ? stem : "train";
}

/** Refuses options that would silently do nothing. */
export function checkOptions(part: DatasetPart, files: readonly string[] = []): void {
  for (const split of SPLITS) rowLimit(part.name, part.options, split);
  for (const key of Object.keys(part.options)) {
    if (SPLITS.includes(key) || rowOptions.includes(key)) continue;
    throw invalid(`dataset "${part.name}": unknown option "${key}"`, [
      `expected row limits of ${SPLITS.join(" and ")}, such as [train:1000], or ${rowOptions.join(", ")}`,
      ...(files.length > 0 ? [`files: ${files.join(", ")}`] : []),
    ]);
  }
}

/**
 * Yields the content of a pinned file piece by piece. The check comes at the end, so what was
 * made of the pieces must not be used before.
 * @throws DllmError 66 when it is gone, 65 when its content is not the pinned one
 */
export async function* pinnedFilePieces(
  location: string,
  file: PinnedFile,
): AsyncGenerator<Buffer> {
  const path = join(location, file.path);
  const hash = createHash("sha256");
  let bytes = 0;
  try {
    for await (const piece of createReadStream(path, { highWaterMark: READ_BYTES })) {
      const buffer = piece as Buffer;
      hash.update(buffer);
      bytes += buffer.length;
      yield buffer;
    }
  } catch (cause) {
    throw ioError("read", path, cause);
  }
  const sha256 = hash.digest("hex");
  if (sha256 !== file.sha256) {
    throw changed(path, file, { bytes, sha256 });
  }
}

/**
 * Checks that a file is what was pinned.
 * @throws DllmError 66 when it is gone, 65 when its content is not the pinned one
 */
export async function checkPinnedFile(location: string, file: PinnedFile): Promise<void> {
  const path = join(location, file.path);
  const found = await sha256File(path);
  if (found.sha256 !== file.sha256) throw changed(path, file, found);
}

function changed(
  path: string,
  expected: PinnedFile,
  found: { bytes: number; sha256: string },
): DllmError {
  return invalid(`${path}: changed since the run was planned`, [
    `found:    ${found.bytes} bytes, sha256 ${found.sha256}`,
    `expected: ${expected.bytes} bytes, sha256 ${expected.sha256}`,
    "run the command again to plan with the new content",
  ]);
}

function invalid(message: string, details: string[], cause?: unknown): DllmError {
  return new DllmError(message, { exitCode: ExitCode.invalidInput, details, cause });
}
