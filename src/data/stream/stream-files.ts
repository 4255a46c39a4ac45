/**
 * @file The files of a stream, opened when they are read: of a local source after checking their
 * content, of one on the hub after downloading them, the next one meanwhile.
 */
import { join } from "node:path";
import { downloadFile } from "../../hub/download.js";
import type { Hub } from "../../hub/hub.js";
import type { SourceParams } from "../../plan/params.js";
import { hubSplits } from "../open-source.js";
import { checkPinnedFile, splitOf } from "../sources.js";

export interface StreamFiles {
  splits: readonly string[];
  /** Names of the files of a split, in order. */
  names(split: string): readonly string[];
  /** The path of a file, verified. @throws DllmError 65, 66, 69 */
  open(name: string): Promise<string>;
}

export interface StreamWorld {
  /** Source name to the directory of its local files. */
  locations: Readonly<Record<string, string>>;
  /** Opened when a source is on it. */
  hub: () => Hub;
}

/** Returns the files of a pinned source; reads and downloads none of them yet. */
export async function streamFiles(
  source: SourceParams,
  { locations, hub }: StreamWorld,
): Promise<StreamFiles> {
  if (source.hub === undefined) return localFiles(source, locations[source.name]);
  const { repository, splits, byPath } = await hubSplits(hub(), source);
  return {
    splits: Object.keys(splits),
    names: (split) => splits[split] ?? [],
    open: once((name) => downloadFile(hub(), repository, byPath.get(name)!)),
  };
}

function localFiles(source: SourceParams, location: string | undefined): StreamFiles {
  if (location === undefined) throw new Error(`the job names no location of "${source.name}"`);
  const byPath = new Map(source.files.map((file) => [file.path, file]));
  const splitName = ({ split, path }: { split?: string; path: string }) => split ?? splitOf(path);
  return {
    splits: [...new Set(source.files.map(splitName))],
    names: (split) =>
      source.files.filter((file) => splitName(file) === split).map(({ path }) => path),
    open: once(async (name) => {
      await checkPinnedFile(location, byPath.get(name)!);
      return join(location, name);
    }),
  };
}

/** Each file is checked or fetched once; what failed is tried again when it is asked for again. */
function once(open: (name: string) => Promise<string>): StreamFiles["open"] {
  const opened = new Map<string, Promise<string>>();
  return (name) => {
    const known = opened.get(name);
    if (known !== undefined) return known;
    const opening = open(name);
    opened.set(name, opening);
    opening.catch(() => opened.delete(name));
    return opening;
  };
}
