/**
 * @file The datasets of a `dataset_args`, whichever form it has, as far as plans look into them.
 * The grammar of the text is that of src/data/dataset-args.ts, which reports what is wrong.
 */
import type { DatasetArgs, DatasetItem, DatasetSeparator } from "../recipe/schema.js";

export interface DatasetPart {
  name: string;
  /** In the order written. */
  options: readonly (readonly [key: string, value: string])[];
  /** Key path of the dataset in the recipe; of all of them, where they are one text. */
  keyPath: string;
}

/** Returns the datasets of a stage, in order. */
export function datasetParts(
  datasetArgs: DatasetArgs,
  separators: readonly DatasetSeparator[],
  keyPath: string,
): DatasetPart[] {
  return typeof datasetArgs === "string"
    ? splitAt(datasetArgs, separators).map((text) => textPart(text, keyPath))
    : datasetArgs.map((item, i) => itemPart(item, `${keyPath}.${i}`));
}

/** Returns the trimmed, non-empty parts of a dataset string. */
export function splitAt(text: string, separators: readonly DatasetSeparator[]): string[] {
  return separators
    .reduce((parts, separator) => parts.flatMap((part) => part.split(separator)), [text])
    .map((part) => part.trim())
    .filter((part) => part !== "");
}

function textPart(text: string, keyPath: string): DatasetPart {
  const opening = text.endsWith("]") ? text.indexOf("[") : -1;
  if (opening < 0) return { name: text, options: [], keyPath };
  const options = text
    .slice(opening + 1, -1)
    .split(",")
    .filter((entry) => entry.trim() !== "")
    .map((entry) => {
      const [key = "", ...value] = entry.split(":");
      return [key.trim(), value.join(":").trim()] as const;
    });
  return { name: text.slice(0, opening).trim(), options, keyPath };
}

function itemPart({ name, ...rest }: DatasetItem, keyPath: string): DatasetPart {
  return {
    name,
    options: Object.entries(rest).map(([key, value]) => [key, String(value)] as const),
    keyPath,
  };
}
