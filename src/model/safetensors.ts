/**
 * @file Reads and writes safetensors files. The header of a file is hostile until checked:
 * nothing is allocated from a number that it claims before that number was compared with the
 * file. Format: huggingface/safetensors README and safetensors/src/tensor.rs (v0.6);
 * written files have the bytes that `transformers` `save_pretrained` gives.
 */
import { open, stat } from "node:fs/promises";
import type { FileHandle } from "node:fs/promises";
import { endianness } from "node:os";
import { join } from "node:path";
import { DllmError, errorCode, ExitCode } from "../base/errors.js";
import { writeFile } from "../base/fs.js";

/**
 * Bytes per element. The order is that of the Rust enum `Dtype` (by alignment), which decides
 * the order of tensors in a written file: last dtype first.
 */
const dtypeBytes = {
  BOOL: 1,
  U8: 1,
  I8: 1,
  F8_E5M2: 1,
  F8_E4M3: 1,
  I16: 2,
  U16: 2,
  F16: 2,
  BF16: 2,
  I32: 4,
  U32: 4,
  F32: 4,
  F64: 8,
  I64: 8,
  U64: 8,
} as const;
export type SafetensorsDtype = keyof typeof dtypeBytes;
const dtypeOrder = Object.keys(dtypeBytes) as SafetensorsDtype[];

/** A tensor's bytes, little endian, row-major. */
export interface SafetensorsTensor {
  dtype: SafetensorsDtype;
  shape: number[];
  data: Buffer;
}

/** What a header says of one tensor; `start` and `end` are absolute byte offsets in the file. */
export interface SafetensorsEntry {
  dtype: SafetensorsDtype;
  shape: number[];
  start: number;
  end: number;
}

/** An open file whose header was checked; tensors are read when asked for. Close it. */
export interface SafetensorsFile {
  readonly path: string;
  /** Name to entry, in file order. */
  readonly entries: ReadonlyMap<string, SafetensorsEntry>;
  readonly metadata: Readonly<Record<string, string>>;
  /** Reads one tensor's bytes. @throws DllmError 65 when there is no such tensor. */
  read(name: string): Promise<SafetensorsTensor>;
  /**
   * Reads one tensor as float32, into `target` where given (no copy for F32).
   * @throws DllmError 65 for an absent tensor, a dtype without float values, or another length.
   */
  readFloat32(name: string, target?: Float32Array): Promise<Float32Array>;
  close(): Promise<void>;
}

// The limit of the reference implementation.
const MAX_HEADER_BYTES = 100_000_000;
// One positioned read or write; Linux transfers at most 2 GiB - 4 KiB at a time.
const READ_BYTES = 1 << 30;
// A header is an object of objects with an array or a map of strings in them.
const MAX_DEPTH = 8;

if (endianness() !== "LE") {
  throw new DllmError("safetensors needs a little-endian machine", {
    exitCode: ExitCode.environment,
  });
}

/** The error of a file that is not what it must be: file, what was found, what was expected. */
function invalid(path: string, found: string, expected: string, cause?: unknown): DllmError {
  return new DllmError(`${path}: ${found}`, {
    exitCode: ExitCode.invalidInput,
    details: [`expected ${expected}`],
    cause,
  });
}

/** Quotes a name that is not ours: control and bidi characters never reach a terminal. */
function quote(name: string): string {
  const text = name.length > 200 ? `${name.slice(0, 200)}…` : name;
  return JSON.stringify(text).replace(
    /[\u007f-\u009f\u200e\u200f\u2028-\u202e\u2066-\u2069]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}

/**
 * Finds what JSON.parse lets pass or cannot bear: a repeated key in one object, and deep
 * nesting. Expects nothing of the text; syntax errors are left to JSON.parse.
 */
function findJsonHazard(text: string): string | undefined {
  // One entry per open bracket: the keys seen in an object, undefined for an array.
  const open: (Set<string> | undefined)[] = [];
  for (let i = 0; i < text.length; i++) {
    const character = text[i];
    if (character === "{" || character === "[") {
      open.push(character === "{" ? new Set() : undefined);
      if (open.length > MAX_DEPTH) return `nesting deeper than ${MAX_DEPTH}`;
    } else if (character === "}" || character === "]") {
      open.pop();
    } else if (character === '"') {
      const start = i;
      for (i++; i < text.length && text[i] !== '"'; i++) if (text[i] === "\\") i++;
      let after = i + 1;
      while (" \t\r\n".includes(text[after] ?? "-")) after++;
      const keys = open.at(-1);
      if (text[after] !== ":" || keys === undefined) continue;
      let key: unknown;
      try {
        key = JSON.parse(text.slice(start, i + 1));
      } catch {
        return undefined;
      }
      if (keys.has(String(key))) return `key ${quote(String(key))} twice in one object`;
      keys.add(String(key));
    }
  }
  return undefined;
}

/** Parses JSON bytes that are not ours. @throws DllmError 65 naming `path` and `what`. */
function parseHostileJson(path: string, what: string, bytes: Buffer): unknown {
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (cause) {
    throw invalid(path, `the ${what} is not valid UTF-8`, "UTF-8 JSON", cause);
  }
  const hazard = findJsonHazard(text);
  if (hazard !== undefined) {
    throw invalid(path, `the ${what} has ${hazard}`, "flat JSON with each key once");
  }
  try {
    return JSON.parse(text);
  } catch (cause) {
    const start = quote(text.slice(0, 40));
    throw invalid(path, `the ${what} is not JSON (it begins ${start})`, "a JSON object", cause);
  }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isSize(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

/** Checks one header entry; offsets stay relative to the data section. */
function checkEntry(path: string, name: string, value: unknown): SafetensorsEntry {
  const tensor = `tensor ${quote(name)}`;
  const shown = (found: unknown) => (JSON.stringify(found) ?? "nothing").slice(0, 200);
  if (!isObject(value)) {
    throw invalid(path, `${tensor}: header entry is ${shown(value)}`, "an object");
  }
  const { dtype, shape, data_offsets: offsets } = value;
  if (typeof dtype !== "string" || !Object.hasOwn(dtypeBytes, dtype)) {
    throw invalid(path, `${tensor}: dtype is ${shown(dtype)}`, dtypeOrder.join(", "));
  }
  if (!Array.isArray(shape) || !shape.every(isSize)) {
    throw invalid(path, `${tensor}: shape is ${shown(shape)}`, "an array of sizes >= 0");
  }
  const [start, end] = Array.isArray(offsets) ? (offsets as unknown[]) : [];
  if (!Array.isArray(offsets) || offsets.length !== 2 || !isSize(start) || !isSize(end)) {
    throw invalid(path, `${tensor}: data_offsets is ${shown(offsets)}`, "[begin, end]");
  }
  if (end < start) {
    throw invalid(path, `${tensor}: data_offsets is [${start}, ${end}]`, "begin <= end");
  }
  const type = dtype as SafetensorsDtype;
  // A product that leaves the safe integers has left every file's size as well.
  const expected = shape.reduce((product: number, size) => product * size, dtypeBytes[type]);
  if (expected !== end - start) {
    throw invalid(
      path,
      `${tensor}: data_offsets [${start}, ${end}] hold ${end - start} bytes`,
      `${expected} bytes for ${type} [${shape.join(", ")}]`,
    );
  }
  return { dtype: type, shape: [...shape], start, end };
}

type CheckedHeader = Pick<SafetensorsFile, "entries" | "metadata">;

/** Checks a parsed header against the file's size; returns entries in file order. */
function checkHeader(
  path: string,
  header: unknown,
  dataStart: number,
  fileBytes: number,
): CheckedHeader {
  if (!isObject(header)) throw invalid(path, "the header is not an object", "a JSON object");
  const metadata: Record<string, string> = {};
  const tensors: [string, SafetensorsEntry][] = [];
  for (const [name, value] of Object.entries(header)) {
    if (name !== "__metadata__") {
      tensors.push([name, checkEntry(path, name, value)]);
      continue;
    }
    if (!isObject(value) || !Object.values(value).every((text) => typeof text === "string")) {
      throw invalid(path, "__metadata__ holds something other than text", "text to text");
    }
    for (const [key, text] of Object.entries(value)) {
      // Plain assignment would set the prototype for the key "__proto__".
      Object.defineProperty(metadata, key, { value: text, enumerable: true });
    }
  }
  tensors.sort(([, a], [, b]) => a.start - b.start || a.end - b.end);
  let position = 0;
  for (const [name, entry] of tensors) {
    if (entry.start !== position) {
      const what = entry.start > position ? "a hole before it" : "an overlap with the one before";
      throw invalid(
        path,
        `tensor ${quote(name)}: data begins at ${entry.start} (${what})`,
        `${position}, the end of the tensor before`,
      );
    }
    position = entry.end;
  }
  if (dataStart + position !== fileBytes) {
    throw invalid(
      path,
      `the file has ${fileBytes} bytes`,
      `${dataStart + position}: header ${dataStart} + tensors ${position}` +
        (dataStart + position > fileBytes ? " (is the file cut off?)" : ""),
    );
  }
  const entries = new Map<string, SafetensorsEntry>();
  for (const [name, { dtype, shape, start, end }] of tensors) {
    entries.set(name, { dtype, shape, start: start + dataStart, end: end + dataStart });
  }
  return { entries, metadata };
}

/** Fills `target` from `position`. @throws DllmError 65 when the file ends before. */
async function readFully(
  file: FileHandle,
  path: string,
  target: Uint8Array,
  position: number,
): Promise<void> {
  let done = 0;
  while (done < target.byteLength) {
    const length = Math.min(READ_BYTES, target.byteLength - done);
    const { bytesRead } = await file.read(target, done, length, position + done);
    if (bytesRead === 0) {
      throw invalid(
        path,
        `the file ended at byte ${position + done} while being read`,
        `${target.byteLength} bytes from ${position}`,
      );
    }
    done += bytesRead;
  }
}

/** Opens a file of weights for reading. @throws DllmError 66 when absent, 65 when no file. */
async function openRegularFile(path: string): Promise<{ file: FileHandle; size: number }> {
  try {
    // Before opening: opening a FIFO would wait for a writer.
    if (!(await stat(path)).isFile()) throw invalid(path, "is not a regular file", "a file");
    const file = await open(path, "r");
    return { file, size: (await file.stat()).size };
  } catch (cause) {
    const code = errorCode(cause);
    if (code === "ENOENT" || code === "ENOTDIR") {
      throw new DllmError(`${path}: no such file`, { exitCode: ExitCode.notFound, cause });
    }
    if (code === "EACCES" || code === "EPERM") {
      throw new DllmError(`${path}: not readable`, { exitCode: ExitCode.noPermission, cause });
    }
    throw cause;
  }
}

/** Returns an open safetensors file whose header holds every promise of the format. */
export async function openSafetensors(path: string): Promise<SafetensorsFile> {
  const { file, size } = await openRegularFile(path);
  let checked: CheckedHeader;
  try {
    if (size < 8) throw invalid(path, `the file has ${size} bytes`, "at least 8 (header length)");
    const lengthBytes = Buffer.alloc(8);
    await readFully(file, path, lengthBytes, 0);
    const length = lengthBytes.readBigUInt64LE();
    if (length > MAX_HEADER_BYTES || length > size - 8) {
      const hint = looksLikeGitLfsPointer(lengthBytes) ? " (this is a Git LFS pointer)" : "";
      throw invalid(
        path,
        `the header claims ${length} bytes${hint}`,
        `at most ${Math.min(MAX_HEADER_BYTES, size - 8)}`,
      );
    }
    const headerBytes = Buffer.alloc(Number(length));
    await readFully(file, path, headerBytes, 8);
    if (headerBytes[0] !== 0x7b) {
      throw invalid(
        path,
        `the header begins ${quote(headerBytes.toString("latin1", 0, 8))}`,
        '"{"',
      );
    }
    const header = parseHostileJson(path, "header", headerBytes);
    checked = checkHeader(path, header, 8 + Number(length), size);
  } catch (error) {
    await file.close();
    throw error;
  }

  const entryOf = (name: string): SafetensorsEntry => {
    const entry = checked.entries.get(name);
    if (entry !== undefined) return entry;
    const names = [...checked.entries.keys()].slice(0, 8).map(quote);
    throw invalid(path, `no tensor ${quote(name)}`, `one of ${names.join(", ")}, …`);
  };
  const read = async (name: string): Promise<SafetensorsTensor> => {
    const { dtype, shape, start, end } = entryOf(name);
    // Its own ArrayBuffer, so that a typed array of any element size can view it.
    const data = Buffer.from(new ArrayBuffer(end - start));
    await readFully(file, path, data, start);
    return { dtype, shape: [...shape], data };
  };
  return {
    path,
    ...checked,
    read,
    async readFloat32(name, target) {
      const entry = entryOf(name);
      const elements = (entry.end - entry.start) / dtypeBytes[entry.dtype];
      if (target !== undefined && target.length !== elements) {
        throw invalid(
          path,
          `tensor ${quote(name)}: ${elements} elements, shape [${entry.shape.join(", ")}]`,
          `${target.length} elements`,
        );
      }
      if (entry.dtype === "F32") {
        const result = target ?? new Float32Array(elements);
        const bytes = new Uint8Array(result.buffer, result.byteOffset, result.byteLength);
        await readFully(file, path, bytes, entry.start);
        return result;
      }
      const values = toFloat32(await read(name));
      target?.set(values);
      return target ?? values;
    },
    close: () => file.close(),
  };
}

function looksLikeGitLfsPointer(firstBytes: Buffer): boolean {
  return firstBytes.toString("latin1") === "version ";
}

/**
 * Returns all tensors of a file, in file order. Takes the memory of the whole file; use
 * `openSafetensors` to read tensor by tensor.
 */
export async function readSafetensors(path: string): Promise<{
  tensors: Map<string, SafetensorsTensor>;
  metadata: Readonly<Record<string, string>>;
}> {
  const file = await openSafetensors(path);
  try {
    const tensors = new Map<string, SafetensorsTensor>();
    for (const name of file.entries.keys()) tensors.set(name, await file.read(name));
    return { tensors, metadata: file.metadata };
  } finally {
    await file.close();
  }
}

/** The float32 bits of a half-precision number. */
function halfToFloat(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 31) return fraction === 0 ? sign * Infinity : NaN;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

/**
 * Returns a tensor's values as float32 (exact for F16, BF16, F32 and integers up to 2^24;
 * rounded to nearest otherwise).
 * @throws DllmError 65 for the 8-bit float dtypes.
 */
export function toFloat32({ dtype, data }: SafetensorsTensor): Float32Array {
  const length = data.byteLength / dtypeBytes[dtype];
  const result = new Float32Array(length);
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  const fill = (value: (i: number) => number) => {
    for (let i = 0; i < length; i++) result[i] = value(i);
    return result;
  };
  switch (dtype) {
    case "F32":
      new Uint8Array(result.buffer).set(data);
      return result;
    case "BF16": {
      const bits = new Uint32Array(result.buffer);
      for (let i = 0; i < length; i++) bits[i] = view.getUint16(2 * i, true) << 16;
      return result;
    }
    case "F16":
      return fill((i) => halfToFloat(view.getUint16(2 * i, true)));
    case "F64":
      return fill((i) => view.getFloat64(8 * i, true));
    case "I64":
      return fill((i) => Number(view.getBigInt64(8 * i, true)));
    case "U64":
      return fill((i) => Number(view.getBigUint64(8 * i, true)));
    case "I32":
      return fill((i) => view.getInt32(4 * i, true));
    case "U32":
      return fill((i) => view.getUint32(4 * i, true));
    case "I16":
      return fill((i) => view.getInt16(2 * i, true));
    case "U16":
      return fill((i) => view.getUint16(2 * i, true));
    case "I8":
      return fill((i) => view.getInt8(i));
    case "U8":
    case "BOOL":
      return fill((i) => view.getUint8(i));
    case "F8_E5M2":
    case "F8_E4M3":
      throw new DllmError(`safetensors: no conversion from ${dtype} to float32`, {
        exitCode: ExitCode.invalidInput,
        details: ["expected F32, F16, BF16, F64 or an integer dtype"],
      });
  }
}

/** A tensor to write. */
export interface TensorToWrite<Data = ArrayBufferView> {
  name: string;
  shape: readonly number[];
  /** Default F32, the dtype of a Float32Array. */
  dtype?: SafetensorsDtype;
  /** Any view of its little-endian bytes, or what makes one when its turn has come. */
  data: Data;
}
type LazyTensor = TensorToWrite<ArrayBufferView | (() => Promise<ArrayBufferView>)>;

/** What `transformers` writes and requires. */
const defaultMetadata = { format: "pt" };

/** How many bytes a tensor takes in a file. */
function tensorBytes(shape: readonly number[], dtype: SafetensorsDtype): number {
  return shape.reduce((product, size) => product * size, dtypeBytes[dtype]);
}

/**
 * Returns the first bytes of a file (length and header) and the order of its tensors: by dtype,
 * then by name.
 * @throws TypeError for a repeated name (a bug)
 */
function layOut<T extends LazyTensor>(
  tensors: readonly T[],
  metadata: Readonly<Record<string, string>>,
): { prefix: Buffer; ordered: T[] } {
  const rank = ({ dtype = "F32" }: T) => dtypeOrder.indexOf(dtype);
  const ordered = [...tensors].sort(
    (a, b) => rank(b) - rank(a) || Buffer.compare(Buffer.from(a.name), Buffer.from(b.name)),
  );
  const fields: string[] = [];
  if (Object.keys(metadata).length > 0) {
    const sorted = Object.entries(metadata).sort(([a], [b]) => (a < b ? -1 : 1));
    fields.push(`"__metadata__":${JSON.stringify(Object.fromEntries(sorted))}`);
  }
  let position = 0;
  const names = new Set(["__metadata__"]);
  for (const { name, shape, dtype = "F32" } of ordered) {
    if (names.has(name)) throw new TypeError(`safetensors: tensor name ${quote(name)} is taken`);
    names.add(name);
    const end = position + tensorBytes(shape, dtype);
    const entry = JSON.stringify({ dtype, shape, data_offsets: [position, end] });
    fields.push(`${JSON.stringify(name)}:${entry}`);
    position = end;
  }
  const header = Buffer.from(`{${fields.join(",")}}`);
  const padding = (8 - (header.byteLength % 8)) % 8;
  const prefix = Buffer.alloc(8 + header.byteLength + padding, " ");
  prefix.writeBigUInt64LE(BigInt(header.byteLength + padding));
  header.copy(prefix, 8);
  return { prefix, ordered };
}

/** Views of a tensor's bytes, small enough for one write each; none for an empty tensor. */
function piecesOf({ name, shape, dtype = "F32" }: LazyTensor, data: ArrayBufferView): Uint8Array[] {
  const expected = tensorBytes(shape, dtype);
  if (data.byteLength !== expected) {
    throw new TypeError(
      `safetensors: tensor ${quote(name)} has ${data.byteLength} bytes, ` +
        `expected ${expected} for ${dtype} [${shape.join(", ")}]`,
    );
  }
  const pieces: Uint8Array[] = [];
  for (let start = 0; start < expected; start += READ_BYTES) {
    const length = Math.min(READ_BYTES, expected - start);
    pieces.push(new Uint8Array(data.buffer, data.byteOffset + start, length));
  }
  return pieces;
}

async function* safetensorsPieces(
  tensors: readonly LazyTensor[],
  metadata: Readonly<Record<string, string>>,
): AsyncGenerator<Uint8Array> {
  const { prefix, ordered } = layOut(tensors, metadata);
  yield prefix;
  for (const tensor of ordered) {
    const { data } = tensor;
    yield* piecesOf(tensor, typeof data === "function" ? await data() : data);
  }
}

/**
 * Returns a whole safetensors file in memory; tensors come by dtype, then by name.
 * @throws TypeError for a repeated name or data that disagrees with shape and dtype (a bug)
 */
export function safetensorsBytes(
  tensors: readonly TensorToWrite[],
  metadata: Readonly<Record<string, string>> = defaultMetadata,
): Buffer {
  const { prefix, ordered } = layOut(tensors, metadata);
  return Buffer.concat([prefix, ...ordered.flatMap((tensor) => piecesOf(tensor, tensor.data))]);
}

/**
 * Writes a safetensors file with the bytes of `safetensorsBytes`, copying no tensor; lazy data
 * is asked for one tensor at a time. Not atomic by itself: `path` lies in a private directory
 * that is published as a whole (base/fs `publishDirectory`).
 */
export async function writeSafetensors(
  path: string,
  tensors: readonly LazyTensor[],
  metadata: Readonly<Record<string, string>> = defaultMetadata,
): Promise<void> {
  await writeFile(path, safetensorsPieces(tensors, metadata));
}

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
