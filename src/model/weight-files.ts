/** @file The weights of a model directory: one safetensors file, or shards with an index. */
import { stat } from "node:fs/promises";
import { join } from "node:path";
import { DllmError, ExitCode } from "../base/errors.js";
import {
  invalid,
  isObject,
  openRegularFile,
  parseHostileJson,
  quote,
  readFully,
} from "./hostile-files.js";
import { MAX_HEADER_BYTES } from "./safetensors-header.js";
import { openSafetensors, type SafetensorsFile } from "./safetensors-reader.js";

/** The weights of a model directory, in one file or in shards. Close it. */
export interface WeightFiles {
  /** Tensor name to the open file that holds it. */
  readonly tensors: ReadonlyMap<string, SafetensorsFile>;
  /** Paths of the weight files, at least one, for messages. */
  readonly paths: readonly string[];
  close(): Promise<void>;
}

// No separators, no leading dot: a shard can only be a file of the same directory.
const shardName = /^[A-Za-z0-9][A-Za-z0-9._-]{0,200}\.safetensors$/;

/** Shard file names of an index, and the shard of every tensor. */
async function readIndex(path: string): Promise<Map<string, string>> {
  const { file, size } = await openRegularFile(path);
  let index: unknown;
  try {
    if (size > MAX_HEADER_BYTES) {
      throw invalid(path, `the file has ${size} bytes`, `at most ${MAX_HEADER_BYTES}`);
    }
    const bytes = Buffer.alloc(size);
    await readFully(file, path, bytes, 0);
    index = parseHostileJson(path, "index", bytes);
  } finally {
    await file.close();
  }
  const map = isObject(index) ? index["weight_map"] : undefined;
  if (!isObject(map)) throw invalid(path, "no weight_map", "an object of tensor to file name");
  const shards = new Map<string, string>();
  for (const [tensor, shard] of Object.entries(map)) {
    if (typeof shard !== "string" || !shardName.test(shard)) {
      throw invalid(
        path,
        `weight_map sends tensor ${quote(tensor)} to ${quote(String(shard))}`,
        "the plain name of a .safetensors file in the same directory",
      );
    }
    shards.set(tensor, shard);
  }
  if (shards.size === 0) throw invalid(path, "weight_map is empty", "at least one tensor");
  return shards;
}

/**
 * Returns the opened weights of a model directory: `model.safetensors`, or else the shards of
 * `model.safetensors.index.json`.
 * @throws DllmError 66 when there are neither, 65 when index and shards disagree.
 */
export async function openWeights(directory: string, stem = "model"): Promise<WeightFiles> {
  const single = join(directory, `${stem}.safetensors`);
  const indexPath = join(directory, `${stem}.safetensors.index.json`);
  const exists = (path: string) =>
    stat(path).then(
      () => true,
      () => false,
    );
  if (await exists(single)) {
    const file = await openSafetensors(single);
    const tensors = new Map([...file.entries.keys()].map((name) => [name, file]));
    return { tensors, paths: [single], close: () => file.close() };
  }
  if (!(await exists(indexPath))) {
    throw new DllmError(`${directory}: no weights`, {
      exitCode: ExitCode.notFound,
      details: [
        `expected ${stem}.safetensors or ${stem}.safetensors.index.json (pickles are not read)`,
      ],
    });
  }
  const shardOf = await readIndex(indexPath);
  const files = new Map<string, SafetensorsFile>();
  const close = async () => {
    for (const file of files.values()) await file.close();
  };
  try {
    const tensors = new Map<string, SafetensorsFile>();
    for (const shard of new Set(shardOf.values())) {
      const file = await openSafetensors(join(directory, shard));
      files.set(shard, file);
      for (const name of file.entries.keys()) {
        if (shardOf.get(name) !== shard) {
          const elsewhere = shardOf.get(name) ?? "no file";
          throw invalid(
            file.path,
            `tensor ${quote(name)} is here`,
            `${elsewhere}, where weight_map of ${stem}.safetensors.index.json has it`,
          );
        }
      }
    }
    for (const [name, shard] of shardOf) {
      const file = files.get(shard)!;
      if (!file.entries.has(name)) {
        throw invalid(
          indexPath,
          `weight_map sends tensor ${quote(name)} to ${shard}, which does not have it`,
          "every tensor in its shard",
        );
      }
      tensors.set(name, file);
    }
    return { tensors, paths: [...files.values()].map(({ path }) => path), close };
  } catch (error) {
    await close();
    throw error;
  }
}
