/**
 * @file What a command is: `cli.ts` declares names and options and imports a command's module
 * only when it is called, so that help, version and validation stay light.
 */
import type { ExitCode } from "../base/errors.js";
import type { RawExecuteOptions } from "./run-options.js";

/** The outside world as a command sees it. Data goes to `out`, messages to `err`. */
export interface CommandIo {
  /** Writes a line to stdout. */
  out(line: string): void;
  /** Writes a line to stderr. */
  err(line: string): void;
  /** Writes text to stdout as it is, without a newline: for live displays. */
  write(text: string): void;
  readonly input: NodeJS.ReadStream;
  /** Whether stdout is a terminal. */
  readonly isTty: boolean;
  /** Width of the terminal, 80 where there is none. */
  readonly columns: number;
}

/** A command's implementation: the module of command X exports `run` of this type. */
export type CommandRun<Args extends readonly unknown[], Options> = (
  args: Args,
  options: Options,
  io: CommandIo,
) => Promise<ExitCode>;

export interface RecipeOptions {
  /** `key.path=value` overrides, in order. */
  set: string[];
  /** Profiles of the recipe, in order. */
  profile: string[];
}
export interface RunsOptions {
  /** Directory of all runs. */
  runs: string;
}
export interface JsonOptions {
  json: boolean;
}
/** Overrides of the sampler's defaults; absent means the default of the schema. */
export interface SamplerOptions {
  seed: number;
  maxNewTokens?: number;
  blockSize?: number;
  steps?: number;
  temperature?: number;
  remasking?: "low_confidence" | "random";
  cfgScale?: number;
  /** See DenoiseSettings. */
  confidenceThreshold?: number;
  /** See InferenceOptions. */
  precision: "float32" | "int8";
  device: "cpu" | "webgpu" | "cuda";
}
/** How `dllm sample` reads prompts and shows answers. */
export interface SampleOutputOptions {
  prompt: string[];
  /** False: the prompt is text to continue, not a message to answer. */
  chatTemplate?: boolean;
  /** With --json: every frame. */
  frames?: boolean;
  /** On a terminal: show the tokens unmask. */
  visualize?: boolean;
}

/** A recipe file, and `key=value` overrides of it. */
export type RecipeArguments = readonly [recipe: string, overrides: string[]];

export interface FrozenOptions {
  /** Refuse a recipe that is not what its lock says. */
  frozen: boolean;
}
export interface PlanFormatOptions {
  format: "tree" | "mermaid" | "dot" | "json";
}

/** Recipe files, and `key=value` overrides of all of them, in any order after the first. */
export type ValidateCommand = CommandRun<RecipeArguments, RecipeOptions & JsonOptions>;
export type PlanCommand = CommandRun<
  RecipeArguments,
  RecipeOptions & RunsOptions & JsonOptions & FrozenOptions & PlanFormatOptions
>;
export type PreviewCommand = CommandRun<
  RecipeArguments,
  RecipeOptions &
    JsonOptions & {
      /** Trainings to show; all where empty. */
      stage: string[];
      /** Rows to show of each. */
      rows: number;
      /** Rows to read of each source. */
      sample: number;
      /** By default the recipe's. */
      seed?: number;
      /** File to write the page to. */
      html?: string;
    }
>;
export type LockCommand = CommandRun<RecipeArguments, RecipeOptions>;
export type RunCommand = CommandRun<
  RecipeArguments,
  RecipeOptions & RunsOptions & JsonOptions & FrozenOptions & RawExecuteOptions
>;
/** A recipe file, then a key and overrides in any order. */
export type ExplainCommand = CommandRun<RecipeArguments, RecipeOptions & JsonOptions>;
/** The directory of recipes. */
export type LsCommand = CommandRun<readonly [directory?: string], JsonOptions>;
/** The directory to begin in. */
export type InitCommand = CommandRun<readonly [directory?: string], Record<never, never>>;
/** Without a run: all runs. A run is a name under `runs`, or a directory. */
export type StatusCommand = CommandRun<readonly [run?: string], RunsOptions & JsonOptions>;
export type ResultsCommand = CommandRun<readonly [run: string], RunsOptions & JsonOptions>;
/** Without a stage: the one that runs, failed or was started last. */
export type LogsCommand = CommandRun<
  readonly [run: string, stage?: string],
  RunsOptions & { follow: boolean; lines: number }
>;
export type CancelCommand = CommandRun<
  readonly [run: string],
  RunsOptions & { kill: boolean; /** Seconds. */ timeout: number }
>;
export type ResumeCommand = CommandRun<
  readonly [run: string],
  RunsOptions & JsonOptions & RawExecuteOptions
>;
/** A run, or a recipe: what would be another stage in its next run. */
export type WhyCommand = CommandRun<
  readonly [target: string, stage: string],
  RecipeOptions & RunsOptions & JsonOptions
>;
/** Without a run: all runs and all of the store. */
export type FsckCommand = CommandRun<
  readonly [run?: string],
  RunsOptions & JsonOptions & { repair: boolean; /** Name of a variable. */ secret?: string }
>;
export type GcCommand = CommandRun<
  readonly [],
  RunsOptions & JsonOptions & { keep: number; checkpoints: boolean; dryRun: boolean; yes: boolean }
>;
export type DiffCommand = CommandRun<
  readonly [before: string, after: string],
  RunsOptions & JsonOptions
>;
/** A run, or the directory of all runs. */
export type ReportCommand = CommandRun<readonly [run: string], RunsOptions>;
/** A model directory, or a run (then its final model). */
export type SampleCommand = CommandRun<
  readonly [model: string],
  SamplerOptions & RunsOptions & JsonOptions & SampleOutputOptions
>;
export type ChatCommand = CommandRun<readonly [model: string], SamplerOptions & RunsOptions>;
export type SchemaCommand = CommandRun<readonly [], { write: boolean }>;
export type DoctorCommand = CommandRun<readonly [], RunsOptions & JsonOptions>;
