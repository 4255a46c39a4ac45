/**
 * @file The last lines of a log that another process writes, and then what it adds. In constant
 * memory, whatever the log holds; goes on when the file is replaced or cut.
 */
import { closeSync, fstatSync, openSync, readSync } from "node:fs";
import { StringDecoder } from "node:string_decoder";
import { errorCode } from "../base/errors.js";
import { ioError } from "../base/fs.js";
import { sanitize } from "../base/sanitize.js";

const BLOCK_BYTES = 1 << 16;
// As many lines as one asks for, but no more than fit here: a log may be one endless line.
const TAIL_BYTES = 1 << 22;
// What sanitize() cuts anyway.
const LINE_CHARACTERS = 8193;

export interface LogTail {
  /** Returns what was added since the last call as clean lines; at first the last lines. */
  read(): string[];
  /** Returns the unfinished last line, if there is one. */
  rest(): string[];
}

/** Returns a reader of the log at a path; the file may come into being later. */
export function openLogTail(path: string, lines: number): LogTail {
  let inode: number | undefined;
  let position = 0;
  let decoder = new StringDecoder("utf8");
  let unfinished = "";

  function startAt(offset: number, ino: number): void {
    [inode, position, unfinished] = [ino, offset, ""];
    decoder = new StringDecoder("utf8");
  }

  function readAll(descriptor: number): string[] {
    const found: string[] = [];
    const block = Buffer.allocUnsafe(BLOCK_BYTES);
    for (;;) {
      const bytes = readSync(descriptor, block, 0, BLOCK_BYTES, position);
      if (bytes === 0) return found;
      position += bytes;
      const parts = (unfinished + decoder.write(block.subarray(0, bytes))).split("\n");
      unfinished = parts.pop()!.slice(0, LINE_CHARACTERS);
      found.push(...parts.map(sanitize));
    }
  }

  return {
    read() {
      let descriptor: number;
      try {
        descriptor = openSync(path, "r");
      } catch (error) {
        if (errorCode(error) === "ENOENT") return [];
        throw ioError("read", path, error);
      }
      try {
        const { ino, size } = fstatSync(descriptor);
        if (inode === undefined) startAt(tailOffset(descriptor, size, lines), ino);
        else if (inode !== ino || size < position) startAt(0, ino);
        return readAll(descriptor);
      } catch (error) {
        throw ioError("read", path, error);
      } finally {
        closeSync(descriptor);
      }
    },
    rest: () => (unfinished === "" ? [] : [sanitize(unfinished)]),
  };
}

/** Returns where the last `lines` lines begin, looking at no more than TAIL_BYTES. */
function tailOffset(descriptor: number, size: number, lines: number): number {
  const block = Buffer.allocUnsafe(BLOCK_BYTES);
  const least = Math.max(0, size - TAIL_BYTES);
  let missing = lines;
  for (let end = size; end > least;) {
    const start = Math.max(least, end - BLOCK_BYTES);
    const bytes = readSync(descriptor, block, 0, end - start, start);
    for (let i = bytes - 1; i >= 0; i--) {
      // The newline that ends the last line ends no line before it.
      if (block[i] !== 0x0a || start + i === size - 1) continue;
      if (--missing === 0) return start + i + 1;
    }
    end = start;
  }
  return lines === 0 ? size : least;
}
