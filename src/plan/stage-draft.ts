/** @file What the planner knows of a stage before it looks at hardware and store. */
import type {
  BenchmarkParams,
  EvalParams,
  ExportParams,
  PrepareChatParams,
  PrepareModelParams,
  PrepareTextParams,
  PrepareTokenizerParams,
  SourceParams,
  TrainParams,
} from "./params.js";
import type { Recipe } from "../recipe/schema.js";
import type { Locations, Pins } from "./pins.js";
import type { StageSpec } from "./stage.js";

export interface StageInputs {
  recipe: Recipe;
  pins: Pins;
  locations: Locations;
  /** CPU cores of this machine, for `hardware.threads: 0`. */
  cores: number;
}

export type StageDraft = Pick<StageSpec, "id" | "kind" | "inputs"> & {
  params:
    | BenchmarkParams
    | EvalParams
    | ExportParams
    | PrepareChatParams
    | PrepareModelParams
    | PrepareTextParams
    | PrepareTokenizerParams
    | TrainParams;
  /** Parameter path prefix to the recipe key path that it comes from. */
  origins: Record<string, string>;
  /** Names of the sources that the stage reads. */
  sources?: readonly string[];
  estimate?: StageSpec["estimate"];
  /** Of a training: rows per forward pass. */
  microBatchRows?: number;
};

/** Returns the pinned datasets that a recipe names at a key path. */
export function datasetsOf(pins: Pins, keyPath: string): readonly SourceParams[] {
  const sources = pins.datasets[keyPath];
  if (sources === undefined) throw new TypeError(`datasetsOf: ${keyPath} is not pinned`);
  return sources;
}

/** Returns the named keys of an object. */
export function pick<Whole extends object, Key extends keyof Whole>(
  whole: Whole,
  keys: readonly Key[],
): Pick<Whole, Key> {
  const picked: Partial<Pick<Whole, Key>> = {};
  for (const key of keys) if (whole[key] !== undefined) picked[key] = whole[key];
  return picked as Pick<Whole, Key>;
}
