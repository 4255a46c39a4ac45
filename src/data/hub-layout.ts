/**
 * @file Which files of a dataset's repository belong to which configuration and split: what its
 * README declares, else what the names say. Source: huggingface.co/docs/hub/datasets-data-files-configuration;
 * huggingface/datasets 4.2 data_files.py.
 */
import { invalidData } from "./formats/row.js";
import { formatOf } from "./formats/bytes.js";
import { isReadable } from "./formats/file-rows.js";

/** Split to paths, in order. */
export type SplitFiles = Readonly<Record<string, readonly string[]>>;

/** Configurations in the order of the README or the alphabet; the default one, if there is one. */
export interface DatasetLayout {
  configs: Readonly<Record<string, SplitFiles>>;
  defaultConfig?: string;
  /** Files of another format than most. */
  leftOut: readonly string[];
}

/** Returns the layout of a repository. Files that are no data are left out. */
export async function datasetLayout(
  paths: readonly string[],
  readme: string | undefined,
): Promise<DatasetLayout> {
  const data = paths.filter((path) => isReadable(path) && !isMetadata(path));
  return (
    (readme === undefined ? undefined : await declaredLayout(data, readme)) ?? namedLayout(data)
  );
}

/** Files that describe a dataset or a model, whatever their ending. */
function isMetadata(path: string): boolean {
  const name = path.slice(path.lastIndexOf("/") + 1);
  return (
    path.split("/").some((part) => part.startsWith(".") || part.startsWith("__")) ||
    /^(?:dataset_infos?|state|dataset_dict|config|tokenizer.*|.*\.index)\.json$/.test(name) ||
    /^(?:README|LICENSE|requirements|classes)\b.*\.txt$/i.test(name)
  );
}

interface DeclaredConfig {
  config_name?: unknown;
  data_files?: unknown;
  data_dir?: unknown;
  default?: unknown;
}

/** `configs:` of the README's front matter. */
async function declaredLayout(
  data: readonly string[],
  readme: string,
): Promise<DatasetLayout | undefined> {
  const front = /^---\r?\n([\s\S]*?)\r?\n---/.exec(readme)?.[1];
  if (front === undefined) return undefined;
  const { parse } = await import("yaml");
  let declared: unknown;
  try {
    declared = (parse(front, { maxAliasCount: 50 }) as { configs?: unknown } | null)?.configs;
  } catch {
    return undefined; // a broken README says nothing
  }
  if (!Array.isArray(declared)) return undefined;
  const configs: Record<string, SplitFiles> = {};
  let defaultConfig: string | undefined;
  for (const entry of declared as DeclaredConfig[]) {
    const name = typeof entry?.config_name === "string" ? entry.config_name : "default";
    const splits = declaredSplits(data, entry);
    if (Object.keys(splits).length === 0) continue;
    configs[name] = splits;
    if (entry.default === true || name === "default") defaultConfig = name;
  }
  const names = Object.keys(configs);
  if (names.length === 0) return undefined;
  defaultConfig ??= names.length === 1 ? names[0] : undefined;
  return { configs, leftOut: [], ...(defaultConfig !== undefined && { defaultConfig }) };
}

function declaredSplits(data: readonly string[], entry: DeclaredConfig): SplitFiles {
  const root = typeof entry.data_dir === "string" ? entry.data_dir.replace(/\/*$/, "/") : "";
  const { data_files: declared } = entry;
  if (declared === undefined) {
    const below = data.filter((path) => path.startsWith(root));
    return splitsByName(below);
  }
  const patterns = Array.isArray(declared) ? (declared as unknown[]) : [declared];
  const splits: Record<string, string[]> = {};
  for (const pattern of patterns) {
    const isObject = typeof pattern === "object" && pattern !== null && "path" in pattern;
    const { split = "train", path } = (isObject ? pattern : { path: pattern }) as {
      split?: string;
      path: unknown;
    };
    const globs = (Array.isArray(path) ? path : [path]).map((glob) =>
      globPattern(root + String(glob)),
    );
    const found = data.filter((file) => globs.some((glob) => glob.test(file)));
    if (found.length > 0) (splits[split] ??= []).push(...found);
  }
  return splits;
}

/** A glob as an anchored pattern: double stars cross folders, single ones and ? do not. */
function globPattern(glob: string): RegExp {
  const source = glob.replace(/\*\*\/?|\*|\?|\[[\w-]+\]|[^*?[]+|\[/g, (part) => {
    if (part.startsWith("**")) return part.endsWith("/") ? "(?:.*/)?" : ".*";
    if (part === "*") return "[^/]*";
    if (part === "?") return "[^/]";
    return /^\[[\w-]+\]$/.test(part) ? part : part.replace(/[.+^${}()|[\]\\]/g, "\\$&");
  });
  return new RegExp(`^${source}$`, "u");
}

const SPLIT_WORDS: Readonly<Record<string, string>> = {
  train: "train",
  training: "train",
  test: "test",
  testing: "test",
  eval: "test",
  evaluation: "test",
  validation: "validation",
  valid: "validation",
  val: "validation",
  dev: "validation",
};

/**
 * By the names: `<config>/<split>/…` and `<config>/<split>-00000-of-00001…` make configurations
 * where every data file is in a folder that is no split and not `data`; else there is one.
 */
function namedLayout(all: readonly string[]): DatasetLayout {
  const data = ofOneFormat(all);
  const leftOut = all.filter((path) => !data.includes(path));
  const configOf = (path: string): string | undefined => {
    const [first, ...rest] = path.split("/");
    if (rest.length === 0 || first === "data" || splitWord(first!) !== undefined) return undefined;
    return first;
  };
  if (data.length === 0) return { configs: {}, leftOut };
  if (data.some((path) => configOf(path) === undefined)) {
    return { configs: { default: splitsByName(data) }, defaultConfig: "default", leftOut };
  }
  const configs: Record<string, SplitFiles> = {};
  for (const name of new Set(data.map((path) => configOf(path)!))) {
    configs[name] = splitsByName(data.filter((path) => configOf(path) === name));
  }
  const names = Object.keys(configs);
  const defaultConfig =
    names.find((name) => name === "default") ?? (names.length === 1 ? names[0] : undefined);
  return { configs, leftOut, ...(defaultConfig !== undefined && { defaultConfig }) };
}

/** Endings that one loader of Hugging Face datasets reads. */
const FORMATS = [
  [".parquet"],
  [".json", ".jsonl", ".ndjson"],
  [".csv", ".tsv"],
  [".arrow"],
  [".txt"],
];

/** The files of the format that most of them have, as load_dataset takes them. */
function ofOneFormat(paths: readonly string[]): readonly string[] {
  const groups = FORMATS.map((endings) => paths.filter((path) => endings.includes(formatOf(path))));
  return groups.reduce((most, group) => (group.length > most.length ? group : most));
}

function splitsByName(paths: readonly string[]): SplitFiles {
  const splits: Record<string, string[]> = {};
  for (const path of paths) (splits[splitOfPath(path)] ??= []).push(path);
  return splits;
}

/** `data/train_sft-00000-of-00003-<hash>.parquet`, `plain/train/0000.parquet`, `dev.jsonl`. */
function splitOfPath(path: string): string {
  const parts = path.split("/");
  const file = parts.at(-1)!;
  const sharded = /^([\w.]+?)-\d{5}-of-\d{5}\b/.exec(file)?.[1];
  if (sharded !== undefined) return SPLIT_WORDS[sharded] ?? sharded;
  for (const part of [file, ...parts.slice(0, -1).reverse()]) {
    const word = splitWord(part);
    if (word !== undefined) return word;
    if (/^partial-/.test(part)) return part;
  }
  return "train";
}

function splitWord(name: string): string | undefined {
  for (const word of name.toLowerCase().split(/[^a-z]+/)) {
    if (Object.hasOwn(SPLIT_WORDS, word)) return SPLIT_WORDS[word];
  }
  return undefined;
}

/**
 * Returns the files of our splits: train, and test where there is one.
 *
 * @param config null stands for all configurations, one after another
 * @param splitNames the dataset's split for each of ours, where they differ
 * @throws DllmError 65 when the configuration or the training split is not there, or shards are
 * missing
 */
export function chooseFiles(
  dataset: string,
  layout: DatasetLayout,
  {
    config,
    splitNames = {},
  }: { config?: string | null | undefined; splitNames?: Readonly<Record<string, string>> },
): SplitFiles {
  const names = Object.keys(layout.configs);
  if (names.length === 0) {
    throw invalidData(`dataset ${dataset}: no file that can be read`, [
      "expected parquet, jsonl, json, csv, arrow or txt files",
    ]);
  }
  let chosen: string[];
  if (config === null) chosen = names;
  else {
    const name = config ?? layout.defaultConfig;
    if (name === undefined || !Object.hasOwn(layout.configs, name)) {
      throw invalidData(
        name === undefined
          ? `dataset ${dataset}: it has several configurations`
          : `dataset ${dataset}: no configuration "${name}"`,
        [`found: ${names.join(", ")}`, `name one: ${dataset}[name:${names[0]}]`],
      );
    }
    chosen = [name];
  }
  const splits: Record<string, string[]> = {};
  for (const ours of ["train", "test"]) {
    const theirs = splitNames[ours] ?? ours;
    for (const name of chosen) {
      const files = layout.configs[name]![theirs];
      if (files !== undefined) (splits[ours] ??= []).push(...files);
    }
  }
  if (splits["train"] === undefined) {
    const found = [...new Set(chosen.flatMap((name) => Object.keys(layout.configs[name]!)))];
    // Nobody means to train on a test split.
    const other = found.find((split) => split !== "test") ?? found[0];
    const named = typeof config === "string" ? `name:${config},` : "";
    throw invalidData(`dataset ${dataset}: no split "${splitNames["train"] ?? "train"}"`, [
      `found: ${found.join(", ")}`,
      ...(found.some((split) => split.startsWith("partial-"))
        ? ["a partial split is the beginning of a large one: name it to train on that"]
        : []),
      `name one: ${dataset}[${named}split:${other}]`,
    ]);
  }
  for (const files of Object.values(splits)) checkShards(dataset, files);
  return splits;
}

/** Of `…-00000-of-00003` all three must be there. */
function checkShards(dataset: string, files: readonly string[]): void {
  const found = new Map<string, Set<number>>();
  for (const file of files) {
    const match = /^(.*)-(\d{5})-of-(\d{5})\b/.exec(file);
    if (match === null) continue;
    const series = `${match[1]} of ${Number(match[3])}`;
    if (!found.has(series)) found.set(series, new Set());
    found.get(series)!.add(Number(match[2]));
  }
  for (const [series, numbers] of found) {
    const total = Number(series.slice(series.lastIndexOf(" ") + 1));
    if (numbers.size === total) continue;
    throw invalidData(`dataset ${dataset}: shards are missing`, [
      `found: ${numbers.size} of ${total} files ${series.slice(0, series.lastIndexOf(" of "))}-*`,
    ]);
  }
}
