/** @file Several files of a repository at once. */
import { downloadFile, type DownloadOptions } from "./download.js";
import type { Hub } from "./hub.js";
import type { HubFile, PinnedRepository } from "./repository.js";

const PARALLEL = 4;

/**
 * Returns the paths of files in the cache, in the order of `files`, downloading several at a time.
 * The first failure ends the others; what they had received stays for the next time.
 * @throws as downloadFile
 */
export async function downloadFiles(
  hub: Hub,
  repository: PinnedRepository,
  files: readonly HubFile[],
  { signal, ...options }: DownloadOptions = {},
): Promise<string[]> {
  const failed = new AbortController();
  const forward = (): void => failed.abort(signal?.reason);
  if (signal?.aborted) forward();
  signal?.addEventListener("abort", forward);
  const paths = new Array<string>(files.length);
  let next = 0;
  const work = async (): Promise<void> => {
    while (next < files.length && !failed.signal.aborted) {
      const index = next++;
      const file = files[index]!;
      paths[index] = await downloadFile(hub, repository, file, {
        ...options,
        signal: failed.signal,
      });
    }
  };
  const guarded = (): Promise<void> =>
    work().catch((error: unknown) => {
      if (!failed.signal.aborted) failed.abort(error);
    });
  await Promise.all(Array.from({ length: PARALLEL }, guarded));
  signal?.removeEventListener("abort", forward);
  failed.signal.throwIfAborted();
  return paths;
}
