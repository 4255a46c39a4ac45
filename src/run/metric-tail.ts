/** @file The values of one figure in a metrics.jsonl that is being written, each exactly once. */
import { closeSync, fstatSync, openSync, readSync } from "node:fs";

export interface MetricTail {
  /** Returns the values that have come since the last call, oldest first. */
  read(): number[];
  /** How many there have been. */
  count(): number;
}

const LONGEST_READ = 1 << 22;

/** JSON has no such numbers: the writer makes them text. */
const NOT_FINITE: Readonly<Record<string, number>> = {
  NaN: NaN,
  Infinity: Infinity,
  "-Infinity": -Infinity,
};

/** Opens a file that may not exist yet. After a resume steps come again: they do not count twice. */
export function openMetricTail(path: string, name: string): MetricTail {
  let offset = 0;
  let lastStep = -Infinity;
  let count = 0;

  function valueOf(line: string): number | undefined {
    if (!line.includes(`"${name}"`)) return undefined;
    let record: Record<string, unknown>;
    try {
      record = JSON.parse(line) as Record<string, unknown>;
    } catch {
      return undefined;
    }
    const { step, [name]: found } = record;
    const value = typeof found === "string" ? NOT_FINITE[found] : found;
    if (typeof step !== "number" || typeof value !== "number" || step <= lastStep) return undefined;
    lastStep = step;
    return value;
  }

  return {
    read() {
      const values: number[] = [];
      for (let text = nextLines(path, offset); text.length > 0; text = nextLines(path, offset)) {
        offset += text.length;
        for (const line of text.toString("utf8").split("\n")) {
          const value = valueOf(line);
          if (value !== undefined) values.push(value);
        }
      }
      count += values.length;
      return values;
    },
    count: () => count,
  };
}

/** Returns the complete lines from an offset on, as many as fit a bounded read. */
function nextLines(path: string, offset: number): Buffer {
  let file: number;
  try {
    file = openSync(path, "r");
  } catch {
    return Buffer.alloc(0);
  }
  try {
    const size = Math.min(LONGEST_READ, fstatSync(file).size - offset);
    if (size <= 0) return Buffer.alloc(0);
    const buffer = Buffer.allocUnsafe(size);
    const bytes = buffer.subarray(0, readSync(file, buffer, 0, size, offset));
    return bytes.subarray(0, bytes.lastIndexOf(0x0a) + 1);
  } finally {
    closeSync(file);
  }
}
