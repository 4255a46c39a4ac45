/** @file Reads safetensors files, tensor by tensor, and converts any dtype to float32. */
import { endianness } from "node:os";
import { DllmError, ExitCode } from "../base/errors.js";
import { invalid, openRegularFile, parseHostileJson, quote, readFully } from "./hostile-files.js";
import {
  checkHeader,
  dtypeBytes,
  MAX_HEADER_BYTES,
  type CheckedHeader,
  type SafetensorsDtype,
  type SafetensorsEntry,
} from "./safetensors-header.js";

if (endianness() !== "LE") {
  throw new DllmError("safetensors needs a little-endian machine", {
    exitCode: ExitCode.environment,
  });
}

/** A tensor's bytes, little endian, row-major. */
export interface SafetensorsTensor {
  dtype: SafetensorsDtype;
  shape: number[];
  data: Buffer;
}

/** An open file whose header was checked; tensors are read when asked for. Close it. */
export interface SafetensorsFile extends CheckedHeader {
  readonly path: string;
  /** Reads one tensor's bytes. @throws DllmError 65 when there is no such tensor. */
  read(name: string): Promise<SafetensorsTensor>;
  /**
   * Reads one tensor as float32, into `target` where given (no copy for F32).
   * @throws DllmError 65 for an absent tensor, a dtype without float values, or another length.
   */
  readFloat32(name: string, target?: Float32Array): Promise<Float32Array>;
  close(): Promise<void>;
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
