/**
 * @file Files of the hub into the cache: resumed by Range, checked by size and digest, published
 * by a rename. The cache has the layout of Python's huggingface_hub:
 *
 *     datasets--owner--name/blobs/<digest>             content
 *     datasets--owner--name/blobs/<digest>.incomplete  what of it has arrived
 *     datasets--owner--name/snapshots/<commit>/<path>  link to the blob
 *     .locks/datasets--owner--name/<digest>.lock       held while a blob is written
 */
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { open, stat } from "node:fs/promises";
import { basename, dirname, join, relative } from "node:path";
import { DllmError, ExitCode, errorCode } from "../base/errors.js";
import {
  appendFile,
  ioError,
  linkAtomic,
  makeDirectory,
  removePath,
  renamePath,
  syncPath,
} from "../base/fs.js";
import { acquireLock } from "../base/lock.js";
import {
  checkAnswer,
  expectedOf,
  fileUrl,
  refuseForeign,
  WrongContent,
  type Mismatch,
} from "./answer.js";
import { recogniseForeignContent } from "./foreign-content.js";
import { TransientError, bodyPieces, sendOnce, startRequestTimer, withRetries } from "./http.js";
import type { Hub } from "./hub.js";
import {
  describeRepository,
  isSafePath,
  repositoryFolder,
  type HubFile,
  type PinnedRepository,
} from "./repository.js";

export interface DownloadOptions {
  /** Called with the bytes that have been added; what the cache held counts at once. */
  onBytes?: (bytes: number) => void;
  signal?: AbortSignal;
}

/**
 * Returns the path of a file in the cache, after downloading what is missing of it. What the
 * cache holds is verified too.
 * @throws DllmError 65 when the content is wrong twice, with both digests; 66, 69, 77 as http.ts
 */
export async function downloadFile(
  hub: Hub,
  repository: PinnedRepository,
  file: HubFile,
  options: DownloadOptions = {},
): Promise<string> {
  const { folder, blob, link } = placesOf(hub, repository, file);
  const { onBytes = () => undefined } = options;
  if (await isWhole(blob, file)) {
    onBytes(file.bytes);
  } else {
    const locks = join(hub.settings.cacheDirectory, ".locks", basename(folder));
    await makeDirectory(dirname(blob));
    await makeDirectory(locks);
    const lock = await acquireLock(join(locks, `${file.digest}.lock`), {
      what: `the download of ${file.path}`,
      onWait: () => hub.log(`${file.path}: another process is downloading it; waiting`),
      ...(options.signal && { signal: options.signal }),
    });
    try {
      if (await isWhole(blob, file)) onBytes(file.bytes);
      else await fetchBlob(hub, { repository, file, blob, onBytes, ...options });
    } finally {
      await lock.release();
    }
  }
  await linkTo(link, blob);
  return link;
}

/** Returns the path of a file that the cache holds whole; asks the hub nothing, removes nothing. */
export async function cachedFile(
  hub: Hub,
  repository: PinnedRepository,
  file: HubFile,
): Promise<string | undefined> {
  const { blob, link } = placesOf(hub, repository, file);
  if ((await stateOf(blob, file)) !== "whole") return undefined;
  await linkTo(link, blob);
  return link;
}

interface FilePlaces {
  folder: string;
  blob: string;
  link: string;
}

function placesOf(hub: Hub, repository: PinnedRepository, file: HubFile): FilePlaces {
  if (!isSafePath(file.path)) throw new TypeError(`a file of the hub: path ${file.path}`);
  const folder = repositoryFolder(hub, repository);
  return {
    folder,
    blob: join(folder, "blobs", file.digest),
    link: join(folder, "snapshots", repository.commit, file.path),
  };
}

async function linkTo(link: string, blob: string): Promise<void> {
  await makeDirectory(dirname(link));
  await linkAtomic(link, relative(dirname(link), blob));
}

async function stateOf(blob: string, file: HubFile): Promise<"absent" | "wrong" | "whole"> {
  const size = await sizeOf(blob);
  if (size === undefined) return "absent";
  if (size !== file.bytes) return "wrong";
  return (await digestOf(blob, file)) === file.digest ? "whole" : "wrong";
}

/** Whether a blob is there and right; a wrong one is removed. */
async function isWhole(blob: string, file: HubFile): Promise<boolean> {
  const state = await stateOf(blob, file);
  if (state === "wrong") await removePath(blob);
  return state === "whole";
}

async function sizeOf(path: string): Promise<number | undefined> {
  try {
    return (await stat(path)).size;
  } catch (cause) {
    if (errorCode(cause) === "ENOENT") return undefined;
    throw ioError("read", path, cause);
  }
}

/** The sha256 of a file, or what git calls its blob, whichever the expected digest is. */
async function digestOf(path: string, { digest, bytes }: HubFile): Promise<string> {
  const hash = createHash(digest.length === 64 ? "sha256" : "sha1");
  if (digest.length === 40) hash.update(`blob ${bytes}\0`);
  try {
    for await (const piece of createReadStream(path, { highWaterMark: 1 << 20 })) {
      hash.update(piece as Buffer);
    }
  } catch (cause) {
    throw ioError("read", path, cause);
  }
  return hash.digest("hex");
}

interface BlobFetch {
  repository: PinnedRepository;
  file: HubFile;
  blob: string;
  onBytes: (bytes: number) => void;
  signal?: AbortSignal;
}

async function fetchBlob(hub: Hub, job: BlobFetch): Promise<void> {
  const { repository, file, blob, signal } = job;
  const what = `${describeRepository(repository)}: ${file.path}`;
  const incomplete = `${blob}.incomplete`;
  for (let round = 1; ; round++) {
    // The second time from zero: a wrong byte may be anywhere.
    if (round > 1) await removePath(incomplete);
    let problem: Mismatch | undefined;
    try {
      await withRetries(hub, what, () => fetchRest(hub, job, { what, incomplete }), signal);
      problem = await mismatchOf(incomplete, file);
    } catch (error) {
      if (!(error instanceof WrongContent)) throw error;
      problem = error.mismatch;
    }
    if (problem === undefined) break;
    await removePath(incomplete);
    if (round === 2 || problem.final) throw mismatchError(what, problem);
    hub.log(`${what}: ${problem.found}, expected ${problem.expected}; downloading it again`);
  }
  await syncPath(incomplete);
  await renamePath(incomplete, blob);
  await syncPath(dirname(blob));
}

function mismatchError(what: string, { found, expected }: Mismatch): DllmError {
  return new DllmError(`${what}: the hub sends other content than it lists`, {
    exitCode: ExitCode.invalidInput,
    details: [
      `found:    ${found}`,
      `expected: ${expected}`,
      "a proxy or a mirror in between may have changed it; nothing of it was kept",
    ],
  });
}

async function mismatchOf(path: string, file: HubFile): Promise<Mismatch | undefined> {
  const bytes = (await sizeOf(path)) ?? 0;
  const digest = bytes === file.bytes ? await digestOf(path, file) : undefined;
  if (digest === file.digest) return undefined;
  const name = file.digest.length === 64 ? "sha256" : "git sha1";
  const digestText = digest === undefined ? "" : `, ${name} ${digest}`;
  const foreign = recogniseForeignContent(await readHead(path));
  const kind = foreign === undefined ? "" : `, ${foreign}`;
  return { found: `${bytes} bytes${digestText}${kind}`, expected: expectedOf(file) };
}

async function readHead(path: string): Promise<Uint8Array> {
  const handle = await open(path, "r");
  try {
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(512), 0, 512, 0);
    return buffer.subarray(0, bytesRead);
  } finally {
    await handle.close();
  }
}

/** One request for what is missing, appended to the incomplete file as it arrives. */
async function fetchRest(
  hub: Hub,
  { repository, file, onBytes, signal }: BlobFetch,
  { what, incomplete }: { what: string; incomplete: string },
): Promise<void> {
  let from = (await sizeOf(incomplete)) ?? 0;
  if (from > file.bytes) {
    await removePath(incomplete);
    from = 0;
  }
  if (from === file.bytes && from > 0) return;
  const timer = startRequestTimer(hub, signal);
  let received = 0;
  try {
    const { response, first } = await sendOnce(
      hub,
      {
        url: fileUrl(hub, repository, file),
        what,
        headers: {
          "accept-encoding": "identity",
          ...(from > 0 && { range: `bytes=${from}-` }),
        },
      },
      timer.abort.signal,
    );
    timer.begun();
    checkAnswer(response, first, file, from);
    // A server that ignores the range sends the file from its start.
    if (from > 0 && response.status === 200) {
      await removePath(incomplete);
      from = 0;
    }
    onBytes(from);
    await appendFile(incomplete, limited());

    async function* limited(): AsyncGenerator<Uint8Array> {
      for await (const piece of bodyPieces(hub, response, timer.abort)) {
        if (from === 0 && received === 0) refuseForeign(piece, file);
        received += piece.byteLength;
        if (from + received > file.bytes) {
          throw new WrongContent({ found: "more bytes than that", expected: expectedOf(file) });
        }
        yield piece;
        onBytes(piece.byteLength);
      }
    }
    if (from + received < file.bytes) {
      throw new TransientError(`the answer ended after ${from + received} of ${file.bytes} bytes`);
    }
  } catch (error) {
    const cause = unwrapped(error);
    if (received > 0 || from > 0) onBytes(-(from + received));
    if (!(cause instanceof TransientError)) throw cause;
    const { message, retryAfterMs } = cause;
    throw new TransientError(message, { retryAfterMs, progressed: received > 0, cause });
  } finally {
    timer.done();
  }
}

/** What made the pieces fail, not that writing them failed. */
function unwrapped(error: unknown): unknown {
  if (!(error instanceof DllmError)) return error;
  const { cause } = error;
  return cause instanceof TransientError || cause instanceof WrongContent ? cause : error;
}
