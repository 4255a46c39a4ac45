/**
 * @file The header of a safetensors file: what it may say, and every check before it is believed.
 * Format: huggingface/safetensors README and safetensors/src/tensor.rs (v0.6).
 */
import { invalid, isObject, quote } from "./hostile-files.js";

/**
 * Bytes per element. The order is that of the Rust enum `Dtype` (by alignment), which decides
 * the order of tensors in a written file: last dtype first.
 */
export const dtypeBytes = {
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
export const dtypeOrder = Object.keys(dtypeBytes) as SafetensorsDtype[];

/** What a header says of one tensor; `start` and `end` are absolute byte offsets in the file. */
export interface SafetensorsEntry {
  dtype: SafetensorsDtype;
  shape: number[];
  start: number;
  end: number;
}

// The limit of the reference implementation.
export const MAX_HEADER_BYTES = 100_000_000;

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

export interface CheckedHeader {
  /** Name to entry, in file order. */
  readonly entries: ReadonlyMap<string, SafetensorsEntry>;
  readonly metadata: Readonly<Record<string, string>>;
}

/** Checks a parsed header against the file's size; returns entries in file order. */
export function checkHeader(
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
