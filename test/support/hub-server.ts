/**
 * @file A hub on the loopback interface: repositories of given files, served as the real one does
 * (commits, listings, large files behind a redirect to a storage host), and faults by script.
 */
import { createHash } from "node:crypto";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

export interface ServedFile {
  content: Buffer;
  /** Kept by LFS: named by its sha256 and sent by the storage host. */
  lfs?: boolean;
}

export interface ServedRepository {
  kind: "dataset" | "model";
  name: string;
  /** Branch or tag to commit. */
  revisions: Record<string, string>;
  /** Commit to files by path. */
  commits: Record<string, Record<string, ServedFile>>;
}

/** One request as it arrived. */
export interface SeenRequest {
  host: "hub" | "storage";
  path: string;
  headers: IncomingMessage["headers"];
}

/** Answers in place of the server; false lets the server answer. */
export type Fault = (request: SeenRequest, response: ServerResponse) => boolean;

export interface HubServer {
  endpoint: string;
  storage: string;
  seen: SeenRequest[];
  /** Each fault is asked once per request, first to last, until one answers. */
  faults: Fault[];
  repositories: ServedRepository[];
  close(): Promise<void>;
}

export const sha256Of = (content: Buffer): string =>
  createHash("sha256").update(content).digest("hex");
export const gitSha1Of = (content: Buffer): string =>
  createHash("sha1").update(`blob ${content.length}\0`).update(content).digest("hex");
export const digestOf = ({ content, lfs }: ServedFile): string =>
  lfs ? sha256Of(content) : gitSha1Of(content);

/** A commit's name for tests: the same digit 40 times. */
export const commitOf = (digit: string): string => digit.repeat(40);

export async function startHub(repositories: ServedRepository[]): Promise<HubServer> {
  const seen: SeenRequest[] = [];
  const faults: Fault[] = [];
  const listen = async (host: SeenRequest["host"]) => {
    const server = createServer((request, response) => {
      const entry = { host, path: decodeURIComponent(request.url ?? ""), headers: request.headers };
      seen.push(entry);
      if (faults.some((fault) => fault(entry, response))) return;
      if (host === "hub") answer(hub, entry, response);
      else sendFile(storedFile(hub, entry.path), entry, response);
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    return { server, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` };
  };
  const main = await listen("hub");
  const storage = await listen("storage");
  const hub: HubServer = {
    endpoint: main.url,
    storage: storage.url,
    seen,
    faults,
    repositories,
    async close() {
      for (const { server } of [main, storage]) {
        server.closeAllConnections();
        await new Promise((resolve) => server.close(resolve));
      }
    },
  };
  return hub;
}

function fail(response: ServerResponse, status: number, code: string): void {
  response.writeHead(status, { "x-error-code": code, "x-error-message": code }).end();
}

function answer(hub: HubServer, { path, headers }: SeenRequest, response: ServerResponse): void {
  const url = new URL(path, hub.endpoint);
  const api = /^\/api\/(dataset|model)s\/(.+?)\/(revision|tree)\/(.+)$/.exec(url.pathname);
  const resolve = /^\/(datasets\/)?(.+?)\/resolve\/([^/]+)\/(.+)$/.exec(url.pathname);
  const kind = api ? api[1] : resolve?.[1] ? "dataset" : "model";
  const name = api?.[2] ?? resolve?.[2];
  const repository = hub.repositories.find((each) => each.kind === kind && each.name === name);
  if (repository === undefined) return fail(response, 404, "RepoNotFound");
  const revision = (api?.[4] ?? resolve?.[3])!;
  const commit = repository.revisions[revision] ?? revision;
  const files = repository.commits[commit];
  if (files === undefined) return fail(response, 404, "RevisionNotFound");
  if (api?.[3] === "revision") {
    const info = { _id: "1", id: name, sha: commit, lastModified: "2025-01-01T00:00:00.000Z" };
    return json(response, info);
  }
  if (api?.[3] === "tree") {
    return json(
      response,
      Object.entries(files).map(([filePath, file]) => ({
        type: "file",
        path: filePath,
        size: file.content.length,
        oid: file.lfs ? commitOf("e") : digestOf(file),
        ...(file.lfs && {
          lfs: { oid: digestOf(file), size: file.content.length, pointerSize: 130 },
        }),
      })),
    );
  }
  const file = files[resolve![4]!];
  if (file === undefined) return fail(response, 404, "EntryNotFound");
  if (!file.lfs) return sendFile(file, { path, headers, host: "hub" }, response);
  response
    .writeHead(302, {
      location: `${hub.storage}/${digestOf(file)}?signature=secret`,
      "x-repo-commit": commit,
      "x-linked-etag": `"${digestOf(file)}"`,
      "x-linked-size": file.content.length,
    })
    .end();
}

function json(response: ServerResponse, value: unknown): void {
  response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(value));
}

function storedFile(hub: HubServer, path: string): ServedFile {
  const digest = path.slice(1, 65);
  for (const { commits } of hub.repositories) {
    for (const files of Object.values(commits)) {
      const found = Object.values(files).find((file) => file.lfs && digestOf(file) === digest);
      if (found) return found;
    }
  }
  throw new Error(`no stored file ${path}`);
}

/** Sends a file, or the part of it that is asked for. */
export function sendFile(
  { content, lfs }: ServedFile,
  { headers }: Pick<SeenRequest, "headers" | "path" | "host">,
  response: ServerResponse,
): void {
  const range = /^bytes=(\d+)-(\d*)$/.exec(headers.range ?? "");
  const from = Number(range?.[1] ?? 0);
  const end = range?.[2] ? Number(range[2]) + 1 : content.length;
  const part = content.subarray(from, end);
  response.writeHead(range === null ? 200 : 206, {
    "content-type": "application/octet-stream",
    "content-length": part.length,
    "accept-ranges": "bytes",
    // A storage host has etags of its own.
    etag: lfs ? '"0123456789abcdef0123456789abcdef-7"' : `"${gitSha1Of(content)}"`,
    ...(range !== null && {
      "content-range": `bytes ${from}-${from + part.length - 1}/${content.length}`,
    }),
  });
  response.end(part);
}
