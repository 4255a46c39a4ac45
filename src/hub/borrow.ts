/**
 * @file A file of the hub for as long as somebody reads it: the cache's where it is there; else one
 * of the reader's own, so that the cache does not grow with what is read and not needed again.
 */
import { join } from "node:path";
import { removePath, temporaryPath } from "../base/fs.js";
import { cachedFile, downloadFile } from "./download.js";
import type { Hub } from "./hub.js";
import { checkOnline } from "./http.js";
import { describeRepository, type HubFile, type PinnedRepository } from "./repository.js";

export interface BorrowedFile {
  path: string;
  /** What was downloaded for this reader is removed. */
  giveBack(): Promise<void>;
}

export interface BorrowOptions {
  /** Where files are downloaded to, each in a directory of its own; whoever names it removes it. */
  directory: string;
  signal?: AbortSignal;
}

/** Returns a file, verified as downloadFile does it. @throws as downloadFile */
export async function borrowFile(
  hub: Hub,
  repository: PinnedRepository,
  file: HubFile,
  { directory, signal }: BorrowOptions,
): Promise<BorrowedFile> {
  const cached = await cachedFile(hub, repository, file);
  if (cached !== undefined) return { path: cached, giveBack: () => Promise.resolve() };
  checkOnline(hub, `${describeRepository(repository)}: ${file.path}`);
  // A cache of one file: downloads, retries and checks are the same.
  const own = temporaryPath(join(directory, "cache"));
  const settings = { ...hub.settings, cacheDirectory: own };
  const giveBack = (): Promise<void> => removePath(own);
  try {
    const path = await downloadFile({ ...hub, settings }, repository, file, {
      ...(signal && { signal }),
    });
    return { path, giveBack };
  } catch (error) {
    await giveBack();
    throw error;
  }
}
