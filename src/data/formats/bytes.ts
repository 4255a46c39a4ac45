/** @file The content of a data file, decompressed, in bounded memory. */
import { createReadStream } from "node:fs";
import { extname } from "node:path";
import { createGunzip } from "node:zlib";
import { DllmError, errorCode, errorMessage } from "../../base/errors.js";
import { ioError } from "../../base/fs.js";
import { recogniseForeignContent } from "../../hub/foreign-content.js";
import { invalidData } from "./row.js";

const READ_BYTES = 1 << 20;

// Text shrinks to a tenth, tables to a fiftieth; what grows more than this is made to harm.
const LARGEST_RATIO = 200;
const HARMLESS_BYTES = 64 << 20;

const COMPRESSIONS = [".gz", ".zst"];

/** Returns the ending that says how a file is read, `.jsonl` of `train.jsonl.gz`. */
export function formatOf(path: string): string {
  const ending = extname(path).toLowerCase();
  if (!COMPRESSIONS.includes(ending)) return ending;
  return extname(path.slice(0, -ending.length)).toLowerCase();
}

/**
 * Yields a file's bytes; of `.gz` and `.zst` what is inside.
 * @throws DllmError 66 when it is absent, 65 when it is damaged or expands beyond reason
 */
export async function* contentOf(path: string): AsyncGenerator<Buffer> {
  let read = 0;
  const raw = createReadStream(path, { highWaterMark: READ_BYTES });
  raw.on("data", (piece) => (read += piece.length));
  raw.pause();
  let written = 0;
  try {
    for await (const piece of decompressed(path, raw)) {
      if (written === 0) refuseForeign(path, piece);
      written += piece.length;
      if (written > HARMLESS_BYTES && written > LARGEST_RATIO * read) {
        throw invalidData(`${path}: expands to more than ${LARGEST_RATIO} times its size`, [
          `found: ${read} bytes became ${written}, and there is more`,
          "decompress it yourself if that is what it should be",
        ]);
      }
      yield piece;
    }
  } catch (cause) {
    if (cause instanceof DllmError) throw cause;
    if (errorCode(cause)?.startsWith("Z_") || extname(path) === ".zst") {
      throw invalidData(
        `${path}: cannot be decompressed: ${errorMessage(cause)}`,
        ["is it complete? delete it to have it fetched again"],
        cause,
      );
    }
    throw ioError("read", path, cause);
  } finally {
    raw.destroy();
  }
}

/** A clone without its large files, or a login page, would be read as one bad row. */
function refuseForeign(path: string, head: Buffer): void {
  const foreign = recogniseForeignContent(head);
  // A text may well be about HTML.
  if (foreign === undefined || (formatOf(path) === ".txt" && !foreign.includes("LFS"))) return;
  throw invalidData(`${path}: not the data itself`, [
    `found: ${foreign}`,
    "fetch the file again; in a clone, run: git lfs pull",
  ]);
}

async function* decompressed(
  path: string,
  raw: ReturnType<typeof createReadStream>,
): AsyncGenerator<Buffer> {
  switch (extname(path).toLowerCase()) {
    case ".gz": {
      const gunzip = createGunzip();
      raw.on("error", (error) => gunzip.destroy(error));
      yield* raw.pipe(gunzip) as AsyncIterable<Buffer>;
      return;
    }
    case ".zst": {
      const { Decompress } = await import("fzstd");
      let pieces: Uint8Array[] = [];
      let ended = false;
      const stream = new Decompress((piece, isLast) => {
        pieces.push(piece);
        ended ||= isLast === true;
      });
      for await (const piece of raw as AsyncIterable<Buffer>) {
        stream.push(piece);
        for (const each of pieces) yield Buffer.from(each.buffer, each.byteOffset, each.length);
        pieces = [];
      }
      stream.push(new Uint8Array(0), true);
      for (const each of pieces) yield Buffer.from(each);
      if (!ended) throw new Error("it ends in the middle");
      return;
    }
    default:
      yield* raw as AsyncIterable<Buffer>;
  }
}
