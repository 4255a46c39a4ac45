/**
 * @file Splits of a dataset: splitting off a test split, limiting rows, merging datasets.
 * Sources: huggingface/datasets 4.2 arrow_dataset.py train_test_split;
 * ZHZisZZ/dllm@ca17675 dllm/data/utils.py.
 */
import { DllmError, ExitCode } from "../base/errors.js";
import { numpyPermutation } from "./numpy-random.js";

/** Split name (`train`, `test`) to its rows. */
export type Splits<Row> = Readonly<Record<string, readonly Row[]>>;

/**
 * Returns the row indices of both splits; the test split has ceil(fraction × rows) rows.
 * @throws DllmError 65 when no training row would be left
 */
export function trainTestSplit(
  rows: number,
  testFraction: number,
  seed: number,
): { train: Int32Array; test: Int32Array } {
  const testRows = Math.ceil(testFraction * rows);
  if (rows === 0) {
    throw new DllmError("a dataset has no row to train on", {
      exitCode: ExitCode.invalidInput,
      details: ["its files are empty, or lang leaves none of them; the log counts those of each"],
    });
  }
  if (testRows >= rows) {
    throw new DllmError(
      `test_fraction ${testFraction} of ${rows} row${rows === 1 ? "" : "s"} leaves none to train on`,
      {
        exitCode: ExitCode.invalidInput,
        details: ["use a smaller test_fraction, 0, or more rows"],
      },
    );
  }
  const order = numpyPermutation(rows, seed);
  return { train: order.slice(testRows), test: order.slice(0, testRows) };
}

/** Returns the splits with a test split taken from train where there is none. */
export function withTestSplit<Row>(
  splits: Splits<Row>,
  testFraction: number,
  seed: number,
): Splits<Row> {
  const { train, test } = splits;
  if (test !== undefined || train === undefined || testFraction === 0) return splits;
  const order = trainTestSplit(train.length, testFraction, seed);
  const pick = (indices: Int32Array): Row[] => Array.from(indices, (i) => train[i]!);
  return { ...splits, train: pick(order.train), test: pick(order.test) };
}

/**
 * Returns the splits cut to their row limits (`[train:100,test:10]`), first rows kept.
 *
 * DIFFERS: of a dataset with a single split the reference takes both limits from its head, so
 * that test rows are also trained on. Here the test rows come first and the training rows after
 * them, as in its streaming loader; `overlapping` gives the reference's rows
 * (test/data/splits.test.ts, test/golden/tokens.test.ts).
 *
 * @throws DllmError 65 when the limit of a split is not a number
 */
export function limitSplits<Row>(
  splits: Splits<Row>,
  options: Readonly<Record<string, string | number>>,
  { dataset, overlapping = false }: { dataset: string; overlapping?: boolean },
): Splits<Row> {
  const limitOf = (split: string) => rowLimit(dataset, options, split);
  const names = Object.keys(splits);
  const only = names.length === 1 ? splits[names[0]!]! : undefined;
  const train = limitOf("train");
  const test = limitOf("test");
  if (only !== undefined && test !== undefined) {
    if (overlapping) {
      return {
        ...(train !== undefined && { train: only.slice(0, train) }),
        test: only.slice(0, test),
      };
    }
    const rest = only.slice(test);
    return { train: train === undefined ? rest : rest.slice(0, train), test: only.slice(0, test) };
  }
  return Object.fromEntries(
    names.map((name) => {
      const limit = limitOf(name);
      return [name, limit === undefined ? splits[name]! : splits[name]!.slice(0, limit)];
    }),
  );
}

/** Returns the row limit of a split, where there is one. @throws DllmError 65 when it is no number */
export function rowLimit(
  dataset: string,
  options: Readonly<Record<string, string | number>>,
  split: string,
): number | undefined {
  if (!Object.hasOwn(options, split)) return undefined;
  const limit = options[split];
  if (typeof limit === "number") return limit;
  throw new DllmError(`dataset "${dataset}": row limit ${split}:${String(limit)}`, {
    exitCode: ExitCode.invalidInput,
    details: ["expected digits, such as train:1000 or train:1_000"],
  });
}

/** Returns the splits of several datasets joined split by split, in the order given. */
export function mergeSplits<Row>(datasets: readonly Splits<Row>[]): Splits<Row> {
  // Rows are many: those of one dataset are not copied.
  if (datasets.length === 1) return datasets[0]!;
  const merged: Record<string, Row[]> = {};
  for (const splits of datasets) {
    for (const [name, rows] of Object.entries(splits)) {
      const target = (merged[name] ??= []);
      for (const row of rows) target.push(row);
    }
  }
  return merged;
}
