/**
 * @file What a plan's display says about its stages beyond the plan: why they run where they do,
 * their exact commands, what they take. Nothing of it decides what is computed.
 */
import { join } from "node:path";
import type { LoadedRecipe } from "../recipe/load.js";
import type { BenchmarkName } from "../recipe/benchmark-fields.js";
import {
  isTraining,
  parseModelSource,
  RECIPE_MODEL,
  stageSections,
  type TrainingSection,
} from "../recipe/stage-sections.js";
import { assumedA100, type Throughput } from "./compute.js";
import type { PlanDetails, StageDetails } from "./details.js";
import { estimateTraining } from "./estimate.js";
import { resolveHardware, type ResolvedTrainingHardware } from "./hardware.js";
import { trainCommand } from "./launch-command.js";
import { recipeModelShape } from "./model-size.js";
import type { BenchmarkParams } from "./params.js";
import type { PlanProblem } from "./problem.js";
import { evalCommand } from "./reference/eval-command.js";
import type { TrainStage } from "./reference/train-arguments.js";
import type { PlannedStage } from "./stage.js";

export interface DescribeInputs {
  loaded: LoadedRecipe;
  /** Of this recipe alone, without other trials; ids as in the recipe. */
  stages: readonly PlannedStage[];
  /** Directory of the run, as the commands are to name it. */
  runDirectory: string;
  /** What a run of a stage was measured to do, by the stage's id. */
  measured: (stage: string) => Throughput | undefined;
  /** config.json of the recipe's model, where its files are here. */
  modelConfig?: Readonly<Record<string, unknown>>;
  /** Memory of this machine. */
  machineMemoryBytes: number;
}

export interface PlanDescription {
  details: PlanDetails;
  /** Stages that do not fit, each at its place in the recipe. */
  problems: readonly PlanProblem[];
}

/** Returns what is known of the stages of a recipe, for people. */
export function describePlan(inputs: DescribeInputs): PlanDescription {
  const { loaded, stages } = inputs;
  const details: Record<string, StageDetails> = {};
  const problems: PlanProblem[] = [];
  const trainings = new Map(
    stageSections(loaded.recipe)
      .filter(isTraining)
      .map((section) => [section.id, section]),
  );
  for (const stage of stages) {
    const section = trainings.get(stage.id);
    const described =
      section !== undefined
        ? describeTraining(section, inputs)
        : "benchmark" in stage.params
          ? describeBenchmark(stage, inputs)
          : undefined;
    if (described === undefined && stage.blocked === undefined) continue;
    const { problem, ...rest } = described ?? { words: [] };
    details[stage.id] = {
      ...rest,
      ...(stage.blocked !== undefined && { blocked: stage.blocked }),
    };
    if (problem !== undefined && stage.action !== "reuse") problems.push(problem);
  }
  return { details, problems };
}

type Described = StageDetails & { problem?: PlanProblem };

function describeTraining(section: TrainingSection, inputs: DescribeInputs): Described | undefined {
  const { loaded, measured, machineMemoryBytes, modelConfig } = inputs;
  const { recipe } = loaded;
  const { keyPath, settings } = section;
  const resolved = resolveHardware({
    hardware: recipe.hardware,
    train: { stagePath: keyPath, ...settings },
  });
  if (!resolved.ok) return undefined;
  const { engineReason, launcherReason, words } = resolved.value;
  const stage = { path: keyPath, kind: section.kind, settings } as TrainStage;
  const shape = recipeModelShape(recipe, modelConfig);
  const throughput = measured(section.id) ?? assumedOf(resolved.value, inputs);
  const estimated =
    shape &&
    estimateTraining({
      shape,
      stage,
      separators: recipe.dataset_separators,
      hardware: recipe.hardware,
      resolved: resolved.value,
      machineMemoryBytes,
      ...(throughput !== undefined && { throughput }),
    });
  const command =
    resolved.value.engine === "accelerate" ? commandOf(section, stage, resolved.value, inputs) : {};
  return {
    engineReason,
    launcherReason,
    words: [...words, ...(command.words ?? [])],
    ...(command.command !== undefined && { command: command.command }),
    ...(estimated !== undefined && { estimate: estimated.estimate }),
    ...(estimated?.problem !== undefined && { problem: estimated.problem }),
  };
}

/** Nothing is assumed of a CPU: what it does shows when it has run. */
function assumedOf(
  { engine }: ResolvedTrainingHardware,
  { loaded }: DescribeInputs,
): Throughput | undefined {
  return engine === "accelerate" ? assumedA100(loaded.recipe.hardware.precision) : undefined;
}

function commandOf(
  { id, from }: TrainingSection,
  stage: TrainStage,
  resolved: ResolvedTrainingHardware,
  { loaded, runDirectory }: DescribeInputs,
): Pick<StageDetails, "command"> & { words?: readonly string[] } {
  const startModel = modelPath(from, runDirectory);
  const made = trainCommand({
    recipe: loaded.recipe,
    stage,
    resolved,
    outputDirectory: outputOf(id, runDirectory),
    ...(startModel !== undefined && { startModel }),
  });
  if (made.ok) {
    const { words, ...command } = made.value;
    return { command, words };
  }
  return {
    words: made.problems.map(
      ({ keyPath, message }) =>
        `the accelerate engine cannot run it: ${message} (${loaded.position(keyPath)})`,
    ),
  };
}

function describeBenchmark(
  { params, inputs: stageInputs }: PlannedStage,
  { loaded, runDirectory }: DescribeInputs,
): Described | undefined {
  const { benchmark, settings } = params as unknown as BenchmarkParams;
  const { edition, hardware } = loaded.recipe;
  const resolved = resolveHardware({ hardware });
  if (!resolved.ok || resolved.value.engine !== "accelerate") return undefined;
  const from = stageInputs["model"]!;
  const model = from.startsWith("prepare-")
    ? loaded.recipe.model.name_or_path!
    : outputOf(from, runDirectory);
  const made = evalCommand({
    edition,
    benchmark: benchmark as BenchmarkName,
    settings: settings as never,
    path: "eval.benchmarks",
    model,
    precision: hardware.precision,
    devices: resolved.value.devices,
  });
  return made.ok ? { words: [], command: made.value } : undefined;
}

/** Where the model of `from` will be; the recipe's own is named by itself. */
function modelPath(from: string, runDirectory: string): string | undefined {
  const { stage, step } = parseModelSource(from);
  if (stage === RECIPE_MODEL) return undefined;
  const output = outputOf(stage, runDirectory);
  return step === undefined ? output : join(output, `checkpoint-${step}`);
}

function outputOf(stage: string, runDirectory: string): string {
  return join(runDirectory, "stages", stage, "output");
}
