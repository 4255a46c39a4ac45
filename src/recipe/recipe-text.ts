/** @file The text of a recipe file, bounded in size before it is read. */
import { isUtf8 } from "node:buffer";
import { constants } from "node:fs";
import { open } from "node:fs/promises";
import { DllmError, ExitCode, errorCode, errorMessage } from "../base/errors.js";
import { shellQuote } from "../base/shell-text.js";

export const SIZE_LIMIT_BYTES = 128 * 1024;

/**
 * Returns the text of a recipe file, at most 128 KiB of UTF-8.
 * @throws DllmError 66 when there is none, 77 when it may not be read, 65 when it is no text file.
 */
export async function readRecipeText(file: string): Promise<string> {
  const bytes = await readBounded(file);
  if (!isUtf8(bytes)) {
    const line = firstLineNotUtf8(bytes);
    throw new DllmError(`${file}:${line}:1: the line is not valid UTF-8`, {
      exitCode: ExitCode.invalidInput,
      details: ["save the file as UTF-8"],
    });
  }
  return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
}

async function readBounded(file: string): Promise<Buffer> {
  if (file === "") {
    throw new DllmError("the name of the recipe is empty, expected a file", {
      exitCode: ExitCode.usage,
      details: ["a shell variable without a value becomes an empty name"],
    });
  }
  try {
    // Non-blocking, or opening a FIFO would wait for its writer.
    const handle = await open(file, constants.O_RDONLY | constants.O_NONBLOCK);
    try {
      const stats = await handle.stat();
      if (stats.isDirectory()) {
        throw invalidFile(file, "is a directory, expected a file", [
          `dllm ls ${shellQuote(file)} lists the recipes in it`,
        ]);
      }
      if (!stats.isFile()) throw invalidFile(file, "is not a regular file");
      const buffer = Buffer.alloc(SIZE_LIMIT_BYTES + 1);
      let size = 0;
      while (size < buffer.length) {
        const { bytesRead } = await handle.read(buffer, size, buffer.length - size);
        if (bytesRead === 0) break;
        size += bytesRead;
      }
      if (size > SIZE_LIMIT_BYTES) {
        throw invalidFile(
          file,
          `has ${Math.max(size, stats.size)} bytes, expected at most ${SIZE_LIMIT_BYTES}`,
        );
      }
      return buffer.subarray(0, size);
    } finally {
      await handle.close();
    }
  } catch (error) {
    if (error instanceof DllmError) throw error;
    throw unreadable(file, error);
  }
}

function invalidFile(file: string, problem: string, details: readonly string[] = []): DllmError {
  return new DllmError(`recipe ${file} ${problem}`, { exitCode: ExitCode.invalidInput, details });
}

function unreadable(file: string, cause: unknown): DllmError {
  switch (errorCode(cause) ?? "") {
    case "ENOENT":
    case "ENOTDIR":
      return new DllmError(`recipe ${file} does not exist`, {
        exitCode: ExitCode.notFound,
        details: [
          file === "-"
            ? "a recipe is a file, never standard input: what it names is relative to it"
            : "start from a copy of recipes/quickstart.yaml",
        ],
        cause,
      });
    case "EACCES":
    case "EPERM":
      return new DllmError(`recipe ${file} may not be read`, {
        exitCode: ExitCode.noPermission,
        cause,
      });
    default:
      return new DllmError(`recipe ${file} cannot be read: ${errorMessage(cause)}`, {
        exitCode: ExitCode.ioError,
        cause,
      });
  }
}

function firstLineNotUtf8(bytes: Buffer): number {
  let line = 1;
  for (let start = 0; start < bytes.length; line++) {
    const newline = bytes.indexOf(0x0a, start);
    const end = newline === -1 ? bytes.length : newline;
    if (!isUtf8(bytes.subarray(start, end))) return line;
    start = end + 1;
  }
  return line;
}
