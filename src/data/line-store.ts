/**
 * @file Lines by number, in a file while they wait to be written in another order: those of a
 * large mix are more than memory should hold.
 */
import { closeSync, openSync, readSync } from "node:fs";
import { openForAppending, removePath, type AppendFile } from "../base/fs.js";

export class LineStore {
  readonly #path: string;
  readonly #places = new Map<number, { start: number; bytes: number }>();
  #writer: AppendFile | undefined;
  #reader: number | undefined;
  #end = 0;

  /** @param path of a file that does not exist; it is made with the first line */
  constructor(path: string) {
    this.#path = path;
  }

  /** @param text without a newline */
  add(id: number, text: string): void {
    const line = Buffer.from(text);
    this.#writer ??= openForAppending(this.#path);
    this.#writer.append(line);
    const bytes = line.length + 1;
    this.#places.set(id, { start: this.#end, bytes });
    this.#end += bytes;
  }

  /** Returns a line that was added, with its newline. */
  get(id: number): Uint8Array {
    const { start, bytes } = this.#places.get(id)!;
    this.#reader ??= openSync(this.#path, "r");
    const line = new Uint8Array(bytes);
    for (let at = 0; at < bytes;) {
      const read = readSync(this.#reader, line, at, bytes - at, start + at);
      if (read === 0) throw new Error(`${this.#path} ends at byte ${start + at}`);
      at += read;
    }
    return line;
  }

  /** Removes the file. */
  async close(): Promise<void> {
    if (this.#reader !== undefined) closeSync(this.#reader);
    if (this.#writer === undefined) return;
    this.#writer.close();
    await removePath(this.#path);
  }
}
