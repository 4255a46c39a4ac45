/**
 * @file The parameters of each stage kind, as the planner writes them into a stage's `params`
 * and as the stage's implementation reads them. Everything here is part of the fingerprint:
 * no absolute path, host or clock. Where files are on this machine is in `locations`.
 */
import type {
  EvalSettings,
  ExportSettings,
  MaskSettings,
  SamplerSettings,
  TrainingSettings,
} from "../recipe/schema.js";
import type { JsonObject } from "../base/json.js";
import type { BenchmarkName } from "../recipe/benchmark-fields.js";
import type { ModelFamily } from "../base/model-config.js";

export type StoppingStrategy = "first_exhausted" | "all_exhausted";

/** One file of a pinned source: its identity is its content. */
export interface PinnedFile {
  /** Relative to the source's location, `/`-separated. */
  path: string;
  bytes: number;
  /** sha256 hex. */
  sha256: string;
  /** The split that it belongs to, where its name does not say it. */
  split?: string;
}

/** One dataset of a mix (`name[train:100]`), with the files that it consists of. */
export interface SourceParams {
  /** As written in the recipe; also the key into the job's `locations`. */
  name: string;
  /** What stood in brackets after the name: row limits per split, text column, … */
  options: Readonly<Record<string, string | number>>;
  files: readonly PinnedFile[];
  config?: string;
  split?: string;
  /** Sampling weight in an interleaved mix. */
  weight?: number;
  /** At most so many rows of each split. */
  max_samples?: number;
  /** Of a hub dataset: the branch, tag or commit asked for, and the commit where it is known. */
  hub?: HubRevision;
}

export interface HubRevision {
  revision: string;
  commit?: string;
}

/** What happens to rows that cannot be read or hold nothing to train on. */
export interface BadRowSettings {
  on_bad_row: "error" | "skip";
  /** Of `skip`: the greatest share of bad rows in a source; more is an error. */
  max_bad_row_ratio: number;
}

/** `prepare` with a tokenizer: brings one or trains a byte-level BPE. Output: tokenizer directory. */
export interface PrepareTokenizerParams {
  task: "tokenizer";
  tokenizer:
    | { source: "files"; name: string; files: readonly PinnedFile[]; hub?: HubRevision }
    | {
        source: "train";
        vocab_size: number;
        /** Texts that are one token each, such as the markers of the chat template. */
        added_tokens: readonly string[];
        text: readonly SourceParams[];
      };
  /** Jinja text; null takes the tokenizer's own, or else the reference's default template. */
  chat_template: string | null;
}

/** `prepare` for pretraining: text to chunks of `max_length` (input `tokenizer`). */
export interface PrepareTextParams extends BadRowSettings {
  task: "text";
  sources: readonly SourceParams[];
  text_field: string;
  max_length: number;
  insert_eos: boolean;
  drop_tail: boolean;
  /** Share of the rows split off as `test` where a source has no test split; 0 for none. */
  test_fraction: number;
  /** When a weighted mix ends. */
  stopping_strategy?: StoppingStrategy;
  /** Not prepared: rows are read while training. */
  streaming?: boolean;
  seed: number;
}

/** `prepare` for SFT: `messages` rows to ids and prompt lengths (input `tokenizer`). */
export interface PrepareChatParams extends BadRowSettings {
  task: "chat";
  sources: readonly SourceParams[];
  max_length: number;
  truncation: "right" | "filter";
  mask_prompt_loss: boolean;
  test_fraction: number;
  stopping_strategy?: StoppingStrategy;
  seed: number;
}

/** `prepare` with a model that exists: checks and copies its files. Output: model directory. */
export interface PrepareModelParams {
  task: "model";
  name: string;
  files: readonly PinnedFile[];
  hub?: HubRevision;
}

export type PrepareParams =
  PrepareTokenizerParams | PrepareTextParams | PrepareChatParams | PrepareModelParams;

/** `pretrain` and `sft` (inputs `data`, `tokenizer`, and `model` unless from scratch). */
export interface TrainParams {
  /**
   * `scratch` initialises from `seed`, its config complete up to what the tokenizer decides;
   * `input` continues the weights of the input `model`, or those that it kept at a step.
   */
  model:
    | { source: "scratch"; family: ModelFamily; config: JsonObject }
    | { source: "input"; step?: number };
  mask: MaskSettings;
  train: TrainingSettings;
  seed: number;
}

/** `eval` (inputs `model`, `data`). */
export interface EvalParams {
  /** Evaluate what the model's training kept at this step. */
  step?: number;
  eval: EvalSettings;
  sampler: SamplerSettings;
  mask: MaskSettings;
  seed: number;
}

/** `eval` of a benchmark (input `model`). */
export interface BenchmarkParams {
  benchmark: BenchmarkName;
  step?: number;
  settings: Readonly<Record<string, number | boolean>>;
  sampler: SamplerSettings;
  prompt_special_tokens: boolean;
  seed: number;
}

/** `export` (inputs `model`, and one `eval…` input per evaluation to quote in the model card). */
export interface ExportParams {
  /** Export what the model's training kept at this step. */
  step?: number;
  export: ExportSettings;
  /** The resolved recipe, for the model card. */
  recipe: JsonObject;
}
