/**
 * @file What is in a repository of the hub at a commit. The listing of a commit never changes and
 * is kept in the cache, so that a pinned revision needs the network once.
 */
import { existsSync, readFileSync } from "node:fs";
import { lstat, readdir, readlink, stat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { DllmError, ExitCode } from "../base/errors.js";
import { makeDirectory, readJson, writeFileAtomic, writeJson } from "../base/fs.js";
import { sanitize } from "../base/sanitize.js";
import { hubFetch, understood } from "./api.js";
import type { Hub } from "./hub.js";

export type RepositoryKind = "dataset" | "model";

export interface Repository {
  kind: RepositoryKind;
  /** `owner/name`, or a bare name. */
  name: string;
}

export interface PinnedRepository extends Repository {
  /** 40 hex digits. */
  commit: string;
}

/** A file of a repository at a commit. */
export interface HubFile {
  /** `/`-separated, without `..`. */
  path: string;
  bytes: number;
  /** Its name in the cache: the sha256 of a large (LFS) file, the git blob's sha1 of any other. */
  digest: string;
}

export const DEFAULT_REVISION = "main";

const COMMIT = /^[0-9a-f]{40}$/;
const DIGEST = /^(?:[0-9a-f]{40}|[0-9a-f]{64})$/;
const REPOSITORY = /^(?:[A-Za-z0-9][\w.-]{0,95}\/)?[A-Za-z0-9][\w.-]{0,95}$/;
const REVISION = /^[\w][\w./+-]{0,199}$/;

/** Whether a text can be the name of a repository. */
export function isRepositoryName(name: string): boolean {
  return REPOSITORY.test(name) && !name.includes("..") && !name.includes("--");
}

export function isCommit(revision: string): boolean {
  return COMMIT.test(revision);
}

/** Whether a path stays below the directory that it is joined to, on every system. */
export function isSafePath(path: string): boolean {
  return (
    path.length > 0 &&
    path.length <= 1024 &&
    // eslint-disable-next-line no-control-regex
    !/[\\:\u0000-\u001f\u007f]/.test(path) &&
    path.split("/").every((part) => part !== "" && part !== "." && part !== ".." && part !== "~")
  );
}

/** For errors: `dataset a/b`. */
export function describeRepository({ kind, name }: Repository): string {
  return `${kind} ${name}`;
}

/** Returns the repository's folder in the cache, as Python's huggingface_hub names it. */
export function repositoryFolder(hub: Hub, { kind, name }: Repository): string {
  checkName({ kind, name });
  return join(hub.settings.cacheDirectory, `${kind}s--${name.replace("/", "--")}`);
}

function checkName(repository: Repository): void {
  if (isRepositoryName(repository.name)) return;
  throw new DllmError(
    `"${sanitize(repository.name)}" is not the name of a ${repository.kind} on the hub`,
    {
      exitCode: ExitCode.invalidInput,
      details: ['expected "owner/name"'],
    },
  );
}

/**
 * Returns the commit that a branch, tag or commit means now. Offline, the one that it meant when
 * it was last asked for.
 * @throws DllmError 65 for what can be no revision, 66 when there is no such repository or
 * revision, 69 when the hub does not answer, 77 when it refuses
 */
export async function resolveRevision(
  hub: Hub,
  { revision = DEFAULT_REVISION, ...repository }: Repository & { revision?: string },
): Promise<string> {
  checkName(repository);
  if (isCommit(revision)) return revision;
  if (!REVISION.test(revision) || revision.includes("..")) {
    throw new DllmError(`${describeRepository(repository)}: revision "${sanitize(revision)}"`, {
      exitCode: ExitCode.invalidInput,
      details: ["expected a branch, a tag, or a commit of 40 hex digits"],
    });
  }
  const cached = cachedRevision(hub, { ...repository, revision });
  if (hub.settings.offline && cached !== undefined) return cached;
  const commit = await askRevision(hub, repository, revision).catch((error: unknown) => {
    throw withCachedHint(error, revision, cached);
  });
  const path = revisionFile(hub, repository, revision);
  if (cached !== commit) {
    await makeDirectory(dirname(path));
    await writeFileAtomic(path, commit);
  }
  return commit;
}

/** Returns the commit that a revision meant when it was last asked for, without the network. */
export function cachedRevision(
  hub: Hub,
  { revision = DEFAULT_REVISION, ...repository }: Repository & { revision?: string },
): string | undefined {
  if (isCommit(revision)) return revision;
  if (!REVISION.test(revision) || revision.includes("..")) return undefined;
  const path = revisionFile(hub, repository, revision);
  try {
    const commit = readFileSync(path, "utf8").trim();
    return isCommit(commit) ? commit : undefined;
  } catch {
    return undefined;
  }
}

function revisionFile(hub: Hub, repository: Repository, revision: string): string {
  return join(repositoryFolder(hub, repository), "refs", revision);
}

async function askRevision(
  hub: Hub,
  { kind, name }: Repository,
  revision: string,
): Promise<string> {
  const { datasetInfo, modelInfo } = await import("@huggingface/hub");
  const what = `${kind} ${name}${revision === DEFAULT_REVISION ? "" : `@${revision}`}`;
  const asked = {
    name,
    revision,
    hubUrl: hub.settings.endpoint,
    fetch: hubFetch(hub, what),
    additionalFields: ["sha" as const],
  };
  const info = kind === "dataset" ? datasetInfo(asked) : modelInfo(asked);
  const { sha } = await understood(what, info);
  if (typeof sha === "string" && isCommit(sha)) return sha;
  throw new DllmError(`${what}: the hub names no commit`, {
    exitCode: ExitCode.invalidInput,
    details: [`found: ${sanitize(JSON.stringify(sha) ?? "nothing")}`, "expected 40 hex digits"],
  });
}

function withCachedHint(error: unknown, revision: string, cached: string | undefined): unknown {
  const unreachable = error instanceof DllmError && error.exitCode === ExitCode.unavailable;
  if (!unreachable || cached === undefined) return error;
  return new DllmError(error.message, {
    exitCode: error.exitCode,
    details: [
      ...error.details,
      `"${revision}" was ${cached} when last seen: pin that revision to go on without the hub`,
    ],
    cause: error,
  });
}

/**
 * Returns the files of a repository at a commit, sorted by path. From the cache where it has been
 * listed before; offline, from the snapshot that Python's huggingface_hub left.
 * @throws DllmError 65 for a listing that is not one, otherwise as resolveRevision
 */
export async function listFiles(hub: Hub, repository: PinnedRepository): Promise<HubFile[]> {
  const kept = keptListing(hub, repository);
  if (kept !== undefined) return kept;
  if (hub.settings.offline) {
    const files = await snapshotFiles(hub, repository);
    if (files.length > 0) {
      hub.log(
        `${describeRepository(repository)}: offline; taking the ${files.length} files of its snapshot for all`,
      );
      return files;
    }
  }
  const files = await askFiles(hub, repository);
  const path = listingPath(hub, repository);
  await makeDirectory(dirname(path));
  await writeJson(path, files);
  return files;
}

function listingPath(hub: Hub, repository: PinnedRepository): string {
  return join(repositoryFolder(hub, repository), "listings", `${repository.commit}.json`);
}

/** Returns the listing that the cache has, where it has one. @throws as listFiles, but asks nothing */
export function keptListing(hub: Hub, repository: PinnedRepository): HubFile[] | undefined {
  const path = listingPath(hub, repository);
  const kept = existsSync(path) ? readJson(path) : undefined;
  return Array.isArray(kept)
    ? kept.map((entry) => checkEntry(entry as HubFile, repository))
    : undefined;
}

async function askFiles(hub: Hub, repository: PinnedRepository): Promise<HubFile[]> {
  const library = await import("@huggingface/hub");
  const what = describeRepository(repository);
  const entries = library.listFiles({
    repo: { type: repository.kind, name: repository.name },
    revision: repository.commit,
    recursive: true,
    hubUrl: hub.settings.endpoint,
    fetch: hubFetch(hub, what),
  });
  const collect = async (): Promise<HubFile[]> => {
    const files: HubFile[] = [];
    for await (const { type, path, size, oid, lfs } of entries) {
      if (type !== "file") continue;
      const entry = { path, bytes: lfs?.size ?? size, digest: lfs?.oid ?? oid ?? "" };
      files.push(checkEntry(entry, repository));
    }
    return files.sort((a, b) => (a.path < b.path ? -1 : 1));
  };
  return understood(what, collect());
}

/** What the hub says becomes names of files here. */
function checkEntry(entry: HubFile, repository: PinnedRepository): HubFile {
  const { path, bytes, digest } = entry;
  const ok =
    typeof path === "string" && isSafePath(path) && Number.isSafeInteger(bytes) && bytes >= 0;
  if (ok && typeof digest === "string" && DIGEST.test(digest)) return { path, bytes, digest };
  throw new DllmError(`${describeRepository(repository)}: unsafe or incomplete listing`, {
    exitCode: ExitCode.invalidInput,
    details: [
      `found: ${sanitize(JSON.stringify(entry)).slice(0, 300)}`,
      "expected a relative path without .., a size, and a sha1 or sha256",
    ],
  });
}

/** The files of a snapshot in the cache; each is a link to the blob that is named by its digest. */
async function snapshotFiles(hub: Hub, repository: PinnedRepository): Promise<HubFile[]> {
  const root = join(repositoryFolder(hub, repository), "snapshots", repository.commit);
  if (!existsSync(root)) return [];
  const files: HubFile[] = [];
  for (const path of (await readdir(root, { recursive: true })).sort()) {
    const at = join(root, path);
    if (!(await lstat(at)).isSymbolicLink()) continue;
    const digest = basename(await readlink(at));
    const bytes = await stat(at).then(
      ({ size }) => size,
      () => -1,
    );
    if (bytes >= 0 && DIGEST.test(digest) && isSafePath(path)) files.push({ path, bytes, digest });
  }
  return files;
}
