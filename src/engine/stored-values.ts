/**
 * @file Parameters that lie in files. A session maps them instead of copying them: what it lays out
 * anew it lets go of, what it only looks up stays in the page cache.
 */
import { realpathSync } from "node:fs";
import { parse, relative } from "node:path";
import { rowRange } from "../graph/cut-products.js";
import type { Initializer, StoredInitializer } from "../graph/onnx/writer.js";

/** Float32 values in a file, and how to have them in memory. */
export interface StoredValues extends StoredInitializer {
  read(): Promise<Float32Array>;
}

export type ParameterValues = Initializer | StoredValues;

/** Returns values in memory: read, where they are stored. */
export async function hold(values: ParameterValues): Promise<Initializer> {
  return "path" in values ? { shape: values.shape, data: await values.read() } : values;
}

/** Returns all values in memory. */
export async function holdAll(
  parameters: ReadonlyMap<string, ParameterValues>,
): Promise<ReadonlyMap<string, Initializer>> {
  const held = new Map<string, Initializer>();
  for (const [name, values] of parameters) held.set(name, await hold(values));
  return held;
}

/** Returns rows [start, end) of values: a view, or a place in the file. */
export function rowsOf(values: ParameterValues, start: number, end: number): ParameterValues {
  const { shape, first, length } = rowRange(values.shape, start, end);
  const slice = <T extends Float32Array | Int8Array>(data: T): T =>
    data.subarray(first, first + length) as T;
  if (!("path" in values)) return { shape, data: slice(values.data) };
  const { path, offset, read } = values;
  return { shape, path, offset: offset + 4 * first, read: async () => slice(await read()) };
}

/** Initializers in files below a folder, with paths from there. */
export interface MappedFiles {
  folder: string;
  initializers: ReadonlyMap<string, StoredInitializer>;
}

/**
 * Returns parameters as files that a session can map; undefined unless all are stored, as ONNX
 * Runtime takes external data from files or from memory, and below one root.
 */
export function mappedFiles(
  parameters: ReadonlyMap<string, ParameterValues>,
): MappedFiles | undefined {
  const initializers = new Map<string, StoredInitializer>();
  const folders = new Set<string>();
  for (const [name, values] of parameters) {
    if (!("path" in values)) return undefined;
    // ONNX Runtime refuses what leads out of the folder, as the links of the Hub's cache do:
    // hence real paths, from the root.
    const file = realpathSync(values.path);
    const { root } = parse(file);
    folders.add(root);
    const { shape, offset } = values;
    initializers.set(name, { shape, offset, path: relative(root, file) });
  }
  const [folder, ...others] = folders;
  return folder === undefined || others.length > 0 ? undefined : { folder, initializers };
}
