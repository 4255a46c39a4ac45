/**
 * @file The files of a stream, opened when they are read: of a local source after checking their
 * content, of one on the hub after downloading them where the cache does not have them. What was
 * downloaded goes when it is closed.
 */
import { join } from "node:path";
import { borrowFile, type BorrowedFile } from "../../hub/borrow.js";
import type { Hub } from "../../hub/hub.js";
import type { SourceParams } from "../../plan/params.js";
import { hubSplits } from "../open-source.js";
import { checkPinnedFile, splitOf } from "../sources.js";

export interface StreamFiles {
  splits: readonly string[];
  /** Names of the files of a split, in order. */
  names(split: string): readonly string[];
  /** The path of a file, verified; it is there until it is closed. @throws DllmError 65, 66, 69 */
  open(name: string): Promise<string>;
  /** Ends the download of a file that is on its way. */
  close(name: string): Promise<void>;
  closeAll(): Promise<void>;
}

export interface StreamWorld {
  /** Source name to the directory of its local files. */
  locations: Readonly<Record<string, string>>;
  /** Opened when a source is on it. */
  hub: () => Hub;
  /** A directory for what is downloaded; made when it is needed, removed by whoever names it. */
  scratch: string;
}

/** Returns the files of a pinned source; reads and downloads none of them yet. */
export async function streamFiles(
  source: SourceParams,
  { locations, hub, scratch }: StreamWorld,
): Promise<StreamFiles> {
  if (source.hub === undefined) return localFiles(source, locations[source.name]);
  const { repository, splits, byPath } = await hubSplits(hub(), source);
  return {
    splits: Object.keys(splits),
    names: (split) => splits[split] ?? [],
    ...openOnce((name, signal) =>
      borrowFile(hub(), repository, byPath.get(name)!, { directory: scratch, signal }),
    ),
  };
}

function localFiles(source: SourceParams, location: string | undefined): StreamFiles {
  if (location === undefined) throw new Error(`the job names no location of "${source.name}"`);
  const byPath = new Map(source.files.map((file) => [file.path, file]));
  const splitName = ({ split, path }: { split?: string; path: string }) => split ?? splitOf(path);
  const checked = new Set<string>();
  return {
    splits: [...new Set(source.files.map(splitName))],
    names: (split) =>
      source.files.filter((file) => splitName(file) === split).map(({ path }) => path),
    ...openOnce(async (name) => {
      if (!checked.has(name)) await checkPinnedFile(location, byPath.get(name)!);
      checked.add(name);
      return { path: join(location, name), giveBack: () => Promise.resolve() };
    }),
  };
}

type OpenFiles = Pick<StreamFiles, "open" | "close" | "closeAll">;

/** A file is opened once until it is closed; what failed is tried again when it is asked for again. */
function openOnce(open: (name: string, signal: AbortSignal) => Promise<BorrowedFile>): OpenFiles {
  const opened = new Map<string, { file: Promise<BorrowedFile>; abort: AbortController }>();
  async function close(name: string): Promise<void> {
    const entry = opened.get(name);
    if (entry === undefined) return;
    opened.delete(name);
    entry.abort.abort();
    await entry.file.then(
      (file) => file.giveBack(),
      () => undefined,
    );
  }
  return {
    async open(name) {
      let entry = opened.get(name);
      if (entry === undefined) {
        const abort = new AbortController();
        entry = { file: open(name, abort.signal), abort };
        opened.set(name, entry);
        const failing = entry;
        entry.file.catch(() => {
          if (opened.get(name) === failing) opened.delete(name);
        });
      }
      return (await entry.file).path;
    },
    close,
    async closeAll() {
      await Promise.all([...opened.keys()].map(close));
    },
  };
}
