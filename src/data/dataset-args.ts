/**
 * @file The grammar of `dataset_args`: `a[train:5_000,test:100] | b + c`.
 * Source: ZHZisZZ/dllm@ca17675 dllm/data/utils.py, dllm/utils/utils.py parse_spec; at the time of
 * its report only `|` separated.
 */
import { DllmError, ExitCode } from "../base/errors.js";
import type { DatasetArgs, DatasetSeparator } from "../recipe/schema.js";

/** One dataset of a mix, from the string or from the list form of `dataset_args`. */
export interface DatasetPart {
  /** A path, `npm:<package>/<path>`, or a repository of the hub. */
  name: string;
  /** A configuration of the dataset; the reference writes it `name` in brackets. */
  config?: string;
  /** The split to train on, where it is not `train`. */
  split?: string;
  /** Branch, tag or commit of a repository; `main` where absent. */
  revision?: string;
  /** Sampling weight. A mix whose parts have one is interleaved, any other is concatenated. */
  weight?: number;
  /** At most so many rows of each split, the first ones. */
  maxSamples?: number;
  /** Row limits per split (`train`, `test`) are integers, everything else is a string. */
  options: Readonly<Record<string, string | number>>;
}

/** One part as the reference's parse_spec reads it; the name is null for `key=value` parts. */
export interface DatasetSpec {
  name: string | null;
  options: Readonly<Record<string, string | number>>;
}

const INTEGER = /^\d+(?:_\d+)*$/;

/**
 * Returns the parts of a dataset string, in order. The separators separate wherever they stand:
 * they cannot be part of a name.
 * @throws DllmError 65 for an entry without colon, a part without a name, or no part at all
 */
export function parseDatasetArgs(
  text: string,
  separators: readonly DatasetSeparator[],
): DatasetPart[] {
  const parts = splitDatasetArgs(text, separators).map((raw) => {
    const { name, options } = parseDatasetSpec(raw);
    if (name === null || name === "") {
      throw new DllmError(`dataset "${raw}" has no name`, {
        exitCode: ExitCode.invalidInput,
        details: ['expected "name" or "name[train:1000,test:100]"'],
      });
    }
    return liftOptions(name, options);
  });
  if (parts.length === 0) {
    throw new DllmError("no dataset is named", {
      exitCode: ExitCode.invalidInput,
      details: [
        `found: ${JSON.stringify(text)}`,
        `expected "name", or several joined by "${separators.at(-1)}"`,
      ],
    });
  }
  return parts;
}

/**
 * Returns the datasets of either form of `dataset_args`.
 * @throws DllmError 65 as parseDatasetArgs
 */
export function datasetParts(
  args: DatasetArgs,
  separators: readonly DatasetSeparator[],
): DatasetPart[] {
  if (typeof args === "string") return parseDatasetArgs(args, separators);
  return args.map(({ name, ...options }) => liftOptions(name, options));
}

/**
 * Returns a part whose options of a general meaning have become fields of their own.
 * @throws DllmError 65 for a weight or max_samples that is no number
 */
export function liftOptions(
  name: string,
  options: Readonly<Record<string, string | number>>,
): DatasetPart {
  const rest = new Map(Object.entries(options));
  const take = (key: string): string | number | undefined => {
    const value = rest.get(key);
    rest.delete(key);
    return value;
  };
  const text = (...keys: string[]): string | undefined => {
    const value = keys.map(take).find((each) => each !== undefined);
    return value === undefined ? undefined : String(value);
  };
  const number = (key: string, isValid: (value: number) => boolean): number | undefined => {
    const value = take(key);
    if (value === undefined) return undefined;
    if (value !== "" && isValid(Number(value))) return Number(value);
    throw new DllmError(`dataset "${name}": ${key} is "${value}"`, {
      exitCode: ExitCode.invalidInput,
      details: [`expected a positive number, such as ${key}:2`],
    });
  };
  const config = text("config", "name");
  const split = text("split");
  const revision = text("revision");
  const weight = number("weight", (value) => value > 0 && Number.isFinite(value));
  const maxSamples = number("max_samples", (value) => value > 0 && Number.isSafeInteger(value));
  return {
    name,
    ...(config !== undefined && { config }),
    ...(split !== undefined && { split }),
    ...(revision !== undefined && { revision }),
    ...(weight !== undefined && { weight }),
    ...(maxSamples !== undefined && { maxSamples }),
    options: Object.fromEntries(rest),
  };
}

/** Returns the trimmed, non-empty parts of a dataset string. */
export function splitDatasetArgs(text: string, separators: readonly DatasetSeparator[]): string[] {
  return separators
    .reduce((parts, separator) => parts.flatMap((part) => part.split(separator)), [text])
    .map((part) => part.trim())
    .filter((part) => part !== "");
}

/**
 * Returns name and options of one part.
 * @throws DllmError 65 when an entry in the brackets has no colon
 */
export function parseDatasetSpec(raw: string): DatasetSpec {
  const text = raw.trim();
  // The first bracket opens; text after the last one makes the whole part a name.
  const opening = text.endsWith("]") ? text.indexOf("[") : -1;
  const head = (opening < 0 ? text : text.slice(0, opening)).trim();
  const body = opening < 0 ? "" : text.slice(opening + 1, -1);
  // A map keeps a later duplicate's value, and keys such as __proto__ harmless.
  const options = new Map<string, string | number>();
  const hasName = !head.includes("=");
  if (!hasName) {
    for (const entry of entriesOf(head)) {
      const [key, value] = splitOnce(entry, "=");
      if (value === undefined) throw badEntry(entry, raw, "key=value");
      options.set(key, value);
    }
  }
  for (const entry of entriesOf(body)) {
    const [key, value] = splitOnce(entry, ":");
    if (value === undefined) throw badEntry(entry, raw, "key:value");
    options.set(key, INTEGER.test(value) ? Number(value.replaceAll("_", "")) : value);
  }
  return { name: hasName ? head : null, options: Object.fromEntries(options) };
}

function entriesOf(text: string): string[] {
  return text
    .split(",")
    .map((entry) => entry.trim())
    .filter((entry) => entry !== "");
}

function splitOnce(entry: string, separator: string): [string, string | undefined] {
  const at = entry.indexOf(separator);
  if (at < 0) return [entry, undefined];
  return [entry.slice(0, at).trim(), entry.slice(at + separator.length).trim()];
}

function badEntry(entry: string, raw: string, expected: string): DllmError {
  return new DllmError(`dataset "${raw}": entry "${entry}" is not ${expected}`, {
    exitCode: ExitCode.invalidInput,
    details: ["expected row limits and options such as [train:1000,test:100]"],
  });
}
