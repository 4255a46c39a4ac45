/**
 * @file Where data comes from: local files and folders, and files that an npm package ships.
 * `pinSource` finds and hashes them when a run is planned; `readSource` reads them later and
 * refuses contents that have changed since.
 *
 * - `.txt`: one row per paragraph (separated by blank lines). DIFFERS: Hugging Face's text loader
 *   gives one row per line, which tears the hard-wrapped prose of old books apart
 *   (test/data/sources.test.ts).
 * - `.jsonl`: one row per line. `.json`: a list of rows.
 * - a folder: `train`, `test` with one of these endings; or else all of its `.txt`, as train.
 */
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { readdir, stat } from "node:fs/promises";
import { basename, dirname, extname, isAbsolute, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { DllmError, ExitCode, errorCode, errorMessage } from "../base/errors.js";
import { ioError, sha256File } from "../base/fs.js";
import type { JsonObject } from "../base/json.js";
import type { PinnedFile, SourceParams } from "../plan/params.js";
import type { DatasetPart } from "./dataset-args.js";
import type { Splits } from "./splits.js";

/** A row as it stands in its file: a text, or a JSON object. */
export interface SourceRow {
  value: string | JsonObject;
  /** `path:line` for errors. */
  where: string;
}

const SPLITS = ["train", "test"];
const ENDINGS = [".jsonl", ".json", ".txt"];
const NPM_PREFIX = "npm:";
const READ_BYTES = 1 << 20;

/**
 * Finds the files of a dataset and hashes them.
 *
 * @param part `a/file.jsonl`, `a/folder` (relative to baseDirectory) or `npm:<package>/<path>`
 * @returns location: the absolute directory that the files' paths are relative to
 * @throws DllmError 66 when nothing is there, 65 when it is of no known kind
 */
export async function pinSource(
  part: DatasetPart,
  { baseDirectory }: { baseDirectory: string },
): Promise<{ location: string; files: PinnedFile[] }> {
  const path = await findSource(part.name, baseDirectory);
  const isFolder = (await stat(path)).isDirectory();
  const location = isFolder ? path : dirname(path);
  const names = isFolder ? await chooseFiles(part.name, path) : [basename(path)];
  if (!isFolder && !ENDINGS.includes(extname(path))) {
    throw invalid(`dataset "${part.name}": files ending in "${extname(path)}" cannot be read`, [
      `expected one of ${ENDINGS.join(", ")}, or a folder`,
    ]);
  }
  checkOptions(part, names);
  return { location, files: await pinFiles(location, names) };
}

/** Returns the pins of files that exist, in the order given. */
export async function pinFiles(location: string, names: readonly string[]): Promise<PinnedFile[]> {
  const files: PinnedFile[] = [];
  for (const path of names) files.push({ path, ...(await sha256File(join(location, path))) });
  return files;
}

/** Returns the absolute path of a dataset, tokenizer or model named in a recipe. */
export async function findSource(name: string, baseDirectory: string): Promise<string> {
  const path = name.startsWith(NPM_PREFIX)
    ? await findInPackage(name, baseDirectory)
    : resolve(baseDirectory, name);
  if (await exists(path)) return path;
  throw new DllmError(`"${name}": no such file or folder`, {
    exitCode: ExitCode.notFound,
    details: [
      `looked for ${path}`,
      ...(isAbsolute(name) || name.startsWith(NPM_PREFIX)
        ? []
        : ["names are paths relative to the recipe, or npm:<package>/<path>"]),
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

async function chooseFiles(name: string, folder: string): Promise<string[]> {
  const entries = (await readdir(folder)).sort();
  const chosen = SPLITS.flatMap((split) => {
    const found = ENDINGS.map((ending) => split + ending).filter((f) => entries.includes(f));
    if (found.length > 1) {
      throw invalid(`dataset "${name}": several files for split "${split}"`, [
        `found: ${found.join(", ")}`,
      ]);
    }
    return found;
  });
  const files = chosen.length > 0 ? chosen : entries.filter((file) => extname(file) === ".txt");
  if (files.length === 0) {
    throw invalid(`dataset "${name}": nothing to read in the folder`, [
      `looked in ${folder}`,
      `expected train and test (${ENDINGS.join(", ")}), or .txt files`,
    ]);
  }
  return files;
}

/** The split that a file belongs to. */
function splitOf(path: string): string {
  const stem = basename(path, extname(path));
  return SPLITS.includes(stem) ? stem : "train";
}

/** Refuses options that would silently do nothing. */
function checkOptions(part: DatasetPart, files: readonly string[]): void {
  for (const key of Object.keys(part.options)) {
    if (SPLITS.includes(key)) continue;
    throw invalid(`dataset "${part.name}": unknown option "${key}"`, [
      `expected row limits of ${SPLITS.join(" and ")}, such as [train:1000]`,
      `files: ${files.join(", ")}`,
    ]);
  }
}

/**
 * Returns the content of a pinned file.
 * @throws DllmError 66 when it is gone, 65 when its content is not the pinned one
 */
export async function readPinnedFile(location: string, file: PinnedFile): Promise<Buffer> {
  const pieces: Buffer[] = [];
  for await (const piece of pinnedFilePieces(location, file)) pieces.push(piece);
  return Buffer.concat(pieces);
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
    throw invalid(`${path}: changed since the run was planned`, [
      `found:    ${bytes} bytes, sha256 ${sha256}`,
      `expected: ${file.bytes} bytes, sha256 ${file.sha256}`,
      "run the command again to plan with the new content",
    ]);
  }
}

/**
 * Returns the rows of a pinned source by split.
 * @throws DllmError 66 when a file is gone; 65 when it has changed or a row cannot be read
 */
export async function readSource(
  source: SourceParams,
  location: string,
): Promise<Splits<SourceRow>> {
  const splits: Record<string, SourceRow[]> = {};
  for (const file of source.files) {
    const rows = (splits[splitOf(file.path)] ??= []);
    const path = join(location, file.path);
    const bytes = await readPinnedFile(location, file);
    for (const row of rowsOfFile(path, bytes)) rows.push(row);
  }
  return splits;
}

function rowsOfFile(path: string, bytes: Buffer): Iterable<SourceRow> {
  switch (extname(path)) {
    case ".jsonl":
      return jsonLines(path, bytes);
    case ".json":
      return jsonList(path, bytes);
    default:
      return paragraphs(path, bytes);
  }
}

const NEWLINE = 10;

/** Yields the lines of a file; decoded one by one, as a string cannot hold a huge file. */
function* linesOf(path: string, bytes: Buffer): Generator<{ line: number; text: string }> {
  const decoder = new TextDecoder("utf-8", { fatal: true });
  let line = 0;
  for (let start = 0; start < bytes.length;) {
    let end = bytes.indexOf(NEWLINE, start);
    if (end < 0) end = bytes.length;
    line++;
    let text: string;
    try {
      text = decoder.decode(bytes.subarray(start, end));
    } catch (cause) {
      throw invalid(`${path}:${line}: not UTF-8 text`, ["convert the file to UTF-8"], cause);
    }
    yield { line, text: text.endsWith("\r") ? text.slice(0, -1) : text };
    start = end + 1;
  }
}

function* paragraphs(path: string, bytes: Buffer): Generator<SourceRow> {
  let paragraph: string[] = [];
  let first = 0;
  for (const { line, text } of linesOf(path, bytes)) {
    if (text.trim() === "") {
      if (paragraph.length > 0) yield { value: paragraph.join("\n"), where: `${path}:${first}` };
      paragraph = [];
    } else {
      if (paragraph.length === 0) first = line;
      paragraph.push(text);
    }
  }
  if (paragraph.length > 0) yield { value: paragraph.join("\n"), where: `${path}:${first}` };
}

function* jsonLines(path: string, bytes: Buffer): Generator<SourceRow> {
  for (const { line, text } of linesOf(path, bytes)) {
    if (text.trim() === "") continue;
    const where = `${path}:${line}`;
    yield { value: asRow(parseJson(text, where), where), where };
  }
}

function* jsonList(path: string, bytes: Buffer): Generator<SourceRow> {
  const value = parseJson(bytes.toString("utf8"), path);
  if (!Array.isArray(value)) {
    throw invalid(`${path}: not a list of rows`, ['expected [{…}, {…}]; use ".jsonl" for lines']);
  }
  for (const [index, row] of value.entries()) {
    const where = `${path}[${index}]`;
    yield { value: asRow(row, where), where };
  }
}

function parseJson(text: string, where: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw invalid(`${where}: ${errorMessage(cause)}`, ["expected JSON"], cause);
  }
}

function asRow(value: unknown, where: string): JsonObject {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) {
    return value as JsonObject;
  }
  throw invalid(`${where}: not a JSON object`, ['expected {"text": …} or {"messages": […]}']);
}

/**
 * Returns the text of a row: of a text file its paragraph, of a JSON row the text field.
 * @throws DllmError 65 when the field is not a string
 */
export function textOf({ value, where }: SourceRow, textField: string): string {
  if (typeof value === "string") return value;
  const text = value[textField];
  if (typeof text === "string") return text;
  const found =
    text === undefined ? `found: ${Object.keys(value).join(", ")}` : `it is ${typeof text}`;
  throw invalid(`${where}: no text in field "${textField}"`, [found, "set text_field to its name"]);
}

function invalid(message: string, details: string[], cause?: unknown): DllmError {
  return new DllmError(message, { exitCode: ExitCode.invalidInput, details, cause });
}
