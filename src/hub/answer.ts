/** @file The answer to a request for a file: whether it can be that file at all. */
import { recogniseForeignContent } from "./foreign-content.js";
import type { Hub } from "./hub.js";
import type { HubFile, PinnedRepository } from "./repository.js";

export interface Mismatch {
  found: string;
  expected: string;
  /** Asking again will not help. */
  final?: boolean;
}

/** The answer cannot be the file. */
export class WrongContent extends Error {
  constructor(readonly mismatch: Mismatch) {
    super(mismatch.found);
  }
}

export function expectedOf({ bytes, digest }: HubFile): string {
  return `${bytes} bytes, ${digest.length === 64 ? "sha256" : "git sha1"} ${digest}`;
}

/** Returns the address of a file. */
export function fileUrl(
  hub: Hub,
  { kind, name, commit }: PinnedRepository,
  { path }: HubFile,
): string {
  const prefix = kind === "dataset" ? "datasets/" : "";
  const encoded = path.split("/").map(encodeURIComponent).join("/");
  return `${hub.settings.endpoint}/${prefix}${name}/resolve/${commit}/${encoded}`;
}

/** Returns the etag of an answer that names other content than the file's. */
export function otherVersion(first: Headers, { digest }: HubFile): string | undefined {
  const etag = (first.get("x-linked-etag") ?? first.get("etag") ?? "")
    .replace(/^W\//, "")
    .replaceAll('"', "");
  // Storage hosts have etags of their own kinds; only one of the hub's kinds can be compared.
  const isOfKind = etag.length === digest.length && /^[0-9a-f]+$/.test(etag);
  return isOfKind && etag !== digest ? etag : undefined;
}

/** @throws WrongContent when the answer is for another range, size or version. */
export function checkAnswer(response: Response, first: Headers, file: HubFile, from: number): void {
  const expected = expectedOf(file);
  if (response.status === 416) {
    throw new WrongContent({ found: `no bytes from ${from} on`, expected });
  }
  const other = otherVersion(first, file);
  if (other !== undefined) {
    throw new WrongContent({ found: `another version, etag ${other}`, expected });
  }
  const range = response.headers.get("content-range");
  if (response.status === 206) {
    const start = /^bytes (\d+)-\d*\/(?:\d+|\*)$/.exec(range ?? "")?.[1];
    if (start === undefined || Number(start) !== from) {
      throw new WrongContent({
        found: `another range than bytes ${from}-: ${range ?? "none"}`,
        expected,
      });
    }
  }
  const encoding = response.headers.get("content-encoding");
  const length = response.headers.get("content-length");
  const rest = response.status === 206 ? file.bytes - from : file.bytes;
  if ((encoding ?? "identity") === "identity" && length !== null && Number(length) !== rest) {
    const type = response.headers.get("content-type") ?? "";
    const kind = type.startsWith("text/html") ? " of a web page (HTML)" : "";
    throw new WrongContent({ found: `${length} bytes${kind}`, expected });
  }
}

/** @throws WrongContent when the first bytes are of a page or a pointer that stands for the file */
export function refuseForeign(head: Uint8Array, file: HubFile): void {
  const isPage = /\.html?$/i.test(file.path);
  const foreign = isPage ? undefined : recogniseForeignContent(head);
  // The listing may name a pointer itself, where a repository was uploaded without LFS.
  if (foreign === undefined || head.byteLength === file.bytes) return;
  throw new WrongContent({ found: foreign, expected: expectedOf(file), final: true });
}
