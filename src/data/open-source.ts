/**
 * @file The files of a pinned source, on this machine and verified: of a local one its own, of one
 * on the hub the cache's, after downloading what is missing.
 */
import { readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { DllmError, ExitCode } from "../base/errors.js";
import { downloadFile } from "../hub/download.js";
import type { Hub } from "../hub/hub.js";
import {
  DEFAULT_REVISION,
  listFiles,
  resolveRevision,
  type HubFile,
  type PinnedRepository,
} from "../hub/repository.js";
import { downloadFiles } from "../hub/snapshot.js";
import type { SourceParams } from "../plan/params.js";
import type { DatasetPart } from "./dataset-args.js";
import { countFileRows, fileRows, readableEndings } from "./formats/file-rows.js";
import { invalidData, type SourceRow } from "./formats/row.js";
import { chooseFiles, datasetLayout, type SplitFiles } from "./hub-layout.js";
import { hubName } from "./hub-name.js";
import { checkPinnedFile, layoutChoice, splitOf } from "./sources.js";

export interface OpenSource {
  name: string;
  /** Split to absolute paths, in order. */
  splits: SplitFiles;
}

export interface OpenOptions {
  /** Called as bytes arrive, with those so far and in all. */
  onProgress?: (done: number, total: number, name: string) => void;
  signal?: AbortSignal;
}

/** Returns a local source. @throws DllmError 66 or 65 when a file is gone or has changed */
export async function openLocalSource(source: SourceParams, location: string): Promise<OpenSource> {
  const splits: Record<string, string[]> = {};
  for (const file of source.files) {
    await checkPinnedFile(location, file);
    (splits[file.split ?? splitOf(file.path)] ??= []).push(join(location, file.path));
  }
  return { name: source.name, splits };
}

/** Returns which files of a pinned source of the hub make which split; downloads none of them. */
export async function hubSplits(
  hub: Hub,
  source: SourceParams,
): Promise<{
  repository: PinnedRepository;
  splits: SplitFiles;
  byPath: ReadonlyMap<string, HubFile>;
}> {
  const repository = pinnedRepository("dataset", source);
  const files = await listFiles(hub, repository);
  const splits = await chooseHubFiles(hub, source, repository, files);
  return { repository, splits, byPath: new Map(files.map((file) => [file.path, file])) };
}

/** Returns a source of the hub at its pinned commit, downloaded. @throws as hub/download.ts */
export async function openHubSource(
  hub: Hub,
  source: SourceParams,
  { onProgress = () => undefined, signal }: OpenOptions = {},
): Promise<OpenSource> {
  const { repository, splits, byPath } = await hubSplits(hub, source);
  const wanted = Object.values(splits)
    .flat()
    .map((path) => byPath.get(path)!);
  const total = wanted.reduce((sum, { bytes }) => sum + bytes, 0);
  let done = 0;
  const paths = await downloadFiles(hub, repository, wanted, {
    onBytes(bytes) {
      done += bytes;
      onProgress(done, total, source.name);
    },
    ...(signal && { signal }),
  });
  const pathOf = new Map(wanted.map(({ path }, i) => [path, paths[i]!]));
  return {
    name: source.name,
    splits: Object.fromEntries(
      Object.entries(splits).map(([split, names]) => [
        split,
        names.map((name) => pathOf.get(name)!),
      ]),
    ),
  };
}

/** @throws TypeError for a source whose commit is not known yet */
export function pinnedRepository(
  kind: PinnedRepository["kind"],
  { name, hub }: { name: string; hub?: { commit?: string } | undefined },
): PinnedRepository {
  if (hub?.commit === undefined) throw new TypeError(`${kind} ${name}: its commit is not resolved`);
  return { kind, name: hubName(name), commit: hub.commit };
}

async function chooseHubFiles(
  hub: Hub,
  part: Pick<DatasetPart, "name" | "config" | "split">,
  repository: PinnedRepository,
  files: readonly HubFile[],
  log: (line: string) => void = () => undefined,
): Promise<SplitFiles> {
  const readme = files.find(({ path }) => path === "README.md");
  const text = readme && (await readFile(await downloadFile(hub, repository, readme), "utf8"));
  const layout = await datasetLayout(
    files.map(({ path }) => path),
    text,
  );
  if (layout.leftOut.length > 0) {
    const shown = layout.leftOut.slice(0, 3).join(", ");
    const more = layout.leftOut.length > 3 ? ", …" : "";
    log(`dataset ${part.name}: of another format than most, left out: ${shown}${more}`);
  }
  return chooseFiles(part.name, layout, layoutChoice(part));
}

/** The branch on which the hub keeps a copy in parquet of datasets that need a script to load. */
export const PARQUET_REVISION = "refs/convert/parquet";

/**
 * Returns the commit that a dataset is to be read at, after checking that what the recipe asks for
 * is in it: that of the revision; or, where none is asked for and there is nothing to read, that
 * of the hub's conversion to parquet.
 * @throws DllmError 65 for a configuration or split that is not there, otherwise as hub/http.ts
 */
export async function resolveHubDataset(
  hub: Hub,
  part: Pick<DatasetPart, "name" | "config" | "split" | "revision">,
): Promise<string> {
  const repository = { kind: "dataset" as const, name: hubName(part.name) };
  const revision = part.revision ?? DEFAULT_REVISION;
  let commit = await resolveRevision(hub, { ...repository, revision });
  let files = await listFiles(hub, { ...repository, commit });
  const layout = await datasetLayout(
    files.map(({ path }) => path),
    undefined,
  );
  if (Object.keys(layout.configs).length === 0 && part.revision === undefined) {
    hub.log(`dataset ${part.name}: no data files on ${revision}; taking ${PARQUET_REVISION}`);
    const asked = resolveRevision(hub, { ...repository, revision: PARQUET_REVISION });
    commit = await asked.catch((error: unknown) => {
      const isAbsent = error instanceof DllmError && error.exitCode === ExitCode.notFound;
      throw isAbsent ? nothingToRead(part.name, files) : error;
    });
    files = await listFiles(hub, { ...repository, commit });
  }
  await chooseHubFiles(hub, part, { ...repository, commit }, files, (line) => hub.log(line));
  return commit;
}

function nothingToRead(name: string, files: readonly HubFile[]): DllmError {
  const paths = files.map(({ path }) => path);
  const script = paths.find((path) => path.endsWith(".py"));
  const found = paths.length === 0 ? "an empty repository" : paths.slice(0, 20).join(", ");
  return invalidData(`dataset ${name}: no file that can be read`, [
    `found: ${found}`,
    script === undefined
      ? `expected ${readableEndings.join(", ")}`
      : `it is made by a script (${script}), which is not run, and the hub has no parquet copy of it`,
    "take another copy of it, or save its rows as .jsonl beside the recipe",
  ]);
}

/** Returns how many rows each split of a source has. */
export async function countRows({ splits }: OpenSource): Promise<Record<string, number>> {
  const counts: Record<string, number> = {};
  for (const [split, paths] of Object.entries(splits)) {
    counts[split] = 0;
    for (const path of paths) counts[split] += await countFileRows(path);
  }
  return counts;
}

/**
 * Yields the rows of a source, split after split.
 * @throws DllmError 65 when a file changes while it is read
 */
export async function* sourceRows({ splits }: OpenSource): AsyncGenerator<SourceRow> {
  for (const path of Object.values(splits).flat()) yield* stableRows(path);
}

/** Yields the rows of a file, from a row on. @throws DllmError 65 when it changes meanwhile */
export async function* stableRows(path: string, from = 0): AsyncGenerator<SourceRow> {
  const before = await stampOf(path);
  yield* fileRows(path, from);
  if ((await stampOf(path)) !== before) {
    throw invalidData(`${path}: changed while it was read`, [
      "run the command again when nothing writes to it",
    ]);
  }
}

async function stampOf(path: string): Promise<string> {
  const { ino, size, mtimeMs, ctimeMs } = await stat(path);
  return [ino, size, mtimeMs, ctimeMs].join(" ");
}
