/** @file Writes safetensors files with the bytes that `save_pretrained` of transformers gives. */
import { writeFile } from "../base/fs.js";
import { quote, PIECE_BYTES } from "./hostile-files.js";
import { dtypeBytes, dtypeOrder, type SafetensorsDtype } from "./safetensors-header.js";

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
  for (let start = 0; start < expected; start += PIECE_BYTES) {
    const length = Math.min(PIECE_BYTES, expected - start);
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
