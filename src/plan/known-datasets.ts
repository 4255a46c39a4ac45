/**
 * @file How many rows a fine-tuning has, where that is known without looking at the data: the
 * published sizes of the report's datasets. Sources: the datasets' cards on huggingface.co;
 * ZHZisZZ/dllm@ca17675 dllm/data/utils.py for splits and limits.
 */
import type { DatasetSeparator, SftSettings } from "../recipe/schema.js";
import { datasetParts, type DatasetPart } from "./dataset-parts.js";

interface KnownDataset {
  /** Part of the name, as the reference looks for it. */
  match: string;
  /** Rows of the training split as published. */
  rows: number;
  /** Whether test rows are split off it, rather than published beside it. */
  isSplit: boolean;
}

const known: readonly KnownDataset[] = [
  { match: "tatsu-lab/alpaca", rows: 52_002, isSplit: true },
  { match: "allenai/tulu-3-sft-mixture", rows: 939_343, isSplit: true },
  { match: "HuggingFaceTB/smoltalk", rows: 1_043_917, isSplit: false },
];

/** Options that decide nothing but how many rows are taken. */
const limits: readonly string[] = ["train", "test"];

/**
 * Returns the training rows of a fine-tuning, or undefined where a dataset is not known. Rows
 * whose prompt is too long are dropped later: an upper bound.
 */
export function knownTrainingRows(
  settings: Pick<SftSettings, "dataset_args" | "test_fraction">,
  separators: readonly DatasetSeparator[],
): number | undefined {
  let rows = 0;
  for (const part of datasetParts(settings.dataset_args, separators, "")) {
    const found = rowsOf(part, settings.test_fraction);
    if (found === undefined) return undefined;
    rows += found;
  }
  return rows;
}

function rowsOf({ name, options }: DatasetPart, testFraction: number): number | undefined {
  const dataset = known.find(({ match }) => name.includes(match));
  if (dataset === undefined) return undefined;
  const values = new Map(options);
  const isWhole = [...values].every(
    ([key, value]) => limits.includes(key) || (["name", "config"].includes(key) && value === "all"),
  );
  if (!isWhole) return undefined;
  const testRows = dataset.isSplit ? Math.ceil(testFraction * dataset.rows) : 0;
  const train = values.get("train");
  const limit = train === undefined ? Infinity : Number(train.replaceAll("_", ""));
  return Math.min(dataset.rows - testRows, limit);
}

/**
 * Returns the optimizer steps of a training: as written, or as many as its rows make.
 * Source: huggingface/transformers v4.57 trainer.py, accelerate v1.11 data_loader.py.
 */
export function trainingSteps(
  { max_steps, num_train_epochs }: { max_steps: number; num_train_epochs: number },
  batch: { microBatchRows: number; accumulation: number; devices: number },
  rows: number | undefined,
): number | undefined {
  if (max_steps > 0) return max_steps;
  if (rows === undefined) return undefined;
  const microBatches = Math.ceil(Math.ceil(rows / batch.microBatchRows) / batch.devices);
  return Math.ceil(num_train_epochs * Math.ceil(microBatches / batch.accumulation));
}
