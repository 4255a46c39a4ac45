/**
 * @file The stage interface: what the planner knows of a stage, what the executor hands to a
 * stage process, and what a stage's implementation sees. The executor knows stages only
 * through this file.
 */
import type { Json, JsonObject } from "../base/json.js";
import type { EngineName } from "./engine.js";

export const stageKinds = ["prepare", "pretrain", "sft", "eval", "export"] as const;
export type StageKind = (typeof stageKinds)[number];

/** What the planner will have done with a stage. */
export type StageAction = "reuse" | "resume" | "run";

/** How a stage is run. */
export interface StageHardware {
  engine: EngineName;
  launcher: "local" | "slurm";
  /** Where the engine computes; a stage that computes no tensors is on the cpu. */
  device: "cpu" | "webgpu" | "cuda";
  threads: number;
  /** Of a training: rows per forward pass. */
  microBatchRows?: number;
}

/** A stage before it is compared with the store: a pure description. */
export interface StageSpec {
  /** Unique in the plan: `prepare-tokenizer`, `pretrain`, `sft`, `eval`, … */
  id: string;
  kind: StageKind;
  /** Everything that decides the output, fully resolved; hashed into the fingerprint. */
  params: JsonObject;
  /** Input name (`model`, `data`, `tokenizer`, …) to the id of the stage that makes it. */
  inputs: Readonly<Record<string, string>>;
  /** How to run; not part of the identity of the output. */
  hardware: StageHardware;
  /** Source name to its absolute path on this machine; contents are pinned in `params`. */
  locations: Readonly<Record<string, string>>;
  /** Expected optimizer steps or rows, for the plan's display and the ETA; informative only. */
  estimate?: {
    units: number;
    unit: string;
    /** Memory that it needs at most, for running stages side by side. */
    memoryBytes?: number;
  };
}

/** A stage of a plan. */
export interface PlannedStage extends StageSpec {
  /** sha256 hex of (kind, params, input fingerprints, code version of the kind). */
  fingerprint: string;
  action: StageAction;
  /** Why, in one line: `learning_rate changed 0.0003 -> 0.001 (recipes/x.yaml:22:20)`. */
  reason: string;
  /** Ids of the stages in `inputs`, without repeats, in plan order. */
  needs: readonly string[];
  /** Why this version cannot run it, where it cannot. */
  blocked?: string;
}

/** `spec.json` in a stage's working directory: the whole input of a stage process. */
export interface StageJob {
  schema: 1;
  id: string;
  kind: StageKind;
  fingerprint: string;
  attempt: number;
  /** Whether to begin anew when all checkpoints are damaged, instead of refusing. */
  allowRestart?: boolean;
  /** The finished stage is computed again; what it left is set aside. */
  anew?: true;
  params: JsonObject;
  hardware: StageSpec["hardware"];
  locations: StageSpec["locations"];
  /** Input name to the absolute directory of a published artifact. */
  inputs: Readonly<Record<string, string>>;
}

/** `result.json` of a finished stage. */
export interface StageResult {
  schema: 1;
  id: string;
  kind: StageKind;
  fingerprint: string;
  attempt: number;
  reason: "ok";
  startedAt: string;
  finishedAt: string;
  /** Seconds of this attempt, and of all attempts. */
  durationSeconds: number;
  totalSeconds: number;
  peakRssBytes: number;
  /** Final figures of the stage, flat: `{"eval_nll": 1.2, …}`. */
  metrics: JsonObject;
  /** sha256 of the published MANIFEST.json. */
  artifact: string;
}

/** One line of `metrics.jsonl`; `step` comes first. */
export type MetricRecord = { step: number } & Record<string, Json>;

/** A progress report; `total` may be unknown. Units go in `unit` ("step", "row", …). */
export interface Progress {
  done: number;
  total?: number;
  unit: string;
  /** Short and current: `loss 2.31  12.4k tokens/s`. */
  message?: string;
}

/** Fewer would leave nothing to resume from when the newest turns out damaged. */
export const FEWEST_CHECKPOINTS = 2;

/** Resumable state of a stage, published atomically. */
export interface CheckpointStore {
  /**
   * Publishes what `write` puts in a fresh directory as the checkpoint of a step, then removes
   * all but the newest `keep` that verify (at least FEWEST_CHECKPOINTS, the default) and those of
   * pinned steps.
   */
  save(
    step: number,
    write: (directory: string) => Promise<void>,
    options?: { keep?: number; pinned?: readonly number[] },
  ): Promise<void>;
  /** The checkpoint of a pinned step. @throws DllmError 65 when it does not verify, 70 without */
  pinned(step: number): Promise<string>;
  /** The newest checkpoint that verifies, or undefined. Broken ones are set aside and logged. */
  latest(): Promise<{ step: number; directory: string } | undefined>;
}

/** What a stage's implementation is given. */
export interface StageContext {
  job: StageJob;
  /** Absolute directory of an input artifact. @throws when the job has no such input. */
  input(name: string): string;
  /** Private directory; its content is published as the artifact when the stage returns. */
  outputDirectory: string;
  checkpoints: CheckpointStore;
  /** Appends one line to metrics.jsonl at once. */
  metric(record: MetricRecord): void;
  progress(progress: Progress): void;
  /** A line for out.log. */
  log(message: string): void;
  /** Set when the process was asked to stop: checkpoint, then throw StageStopped. */
  readonly stop: { readonly requested: boolean };
  /** Set when a checkpoint was asked for: save at the next occasion and go on. Reset by saving. */
  readonly saveNow?: { readonly requested: boolean };
}

/** Thrown by a stage after it has checkpointed because `stop.requested` was set (exit 75). */
export class StageStopped extends Error {
  override readonly name: string = "StageStopped";
}

/**
 * A stage's implementation: reads inputs, writes `outputDirectory`, returns its final figures.
 * Deterministic: equal jobs give equal bytes.
 */
export type StageImplementation = (context: StageContext) => Promise<JsonObject>;
