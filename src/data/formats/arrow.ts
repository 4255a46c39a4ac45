/** @file Arrow IPC files and streams, as `save_to_disk` of Hugging Face datasets writes them. */
import { createReadStream } from "node:fs";
import type { RecordBatch, Schema } from "apache-arrow";
import { errorCode, errorMessage } from "../../base/errors.js";
import { ioError } from "../../base/fs.js";
import type { JsonObject } from "../../base/json.js";
import { invalidData, plainValue, type SourceRow } from "./row.js";

async function* batchesOf(path: string): AsyncGenerator<RecordBatch> {
  const { RecordBatchReader } = await import("apache-arrow");
  try {
    const reader = await RecordBatchReader.from(createReadStream(path));
    await reader.open();
    // Of an empty file the library makes a stream without rows.
    if ((reader.schema as Schema | undefined) === undefined) throw new Error("it has no schema");
    for await (const batch of reader) yield batch;
  } catch (cause) {
    if (errorCode(cause) === "ENOENT") throw ioError("read", path, cause);
    throw invalidData(
      `${path}: ${errorMessage(cause)}`,
      ["expected an Arrow file or stream"],
      cause,
    );
  }
}

export async function countArrowRows(path: string): Promise<number> {
  let rows = 0;
  for await (const batch of batchesOf(path)) rows += batch.numRows;
  return rows;
}

/** Yields the rows, `path[index]` being where. */
export async function* arrowRows(path: string): AsyncGenerator<SourceRow> {
  let index = 0;
  for await (const batch of batchesOf(path)) {
    for (const row of batch) {
      yield { value: plainValue(row) as JsonObject, where: `${path}[${index++}]` };
    }
  }
}
