/**
 * @file Details of the stages of a recipe for a plan's display: commands for what an external
 * trainer or harness does, estimates for all trainings. Pure, as plans are.
 */
import type { Recipe } from "../recipe/schema.js";
import {
  parseModelSource,
  RECIPE_MODEL,
  trainingSections,
  type TrainingSection,
} from "../recipe/stage-sections.js";
import { assumedA100, type Throughput } from "./compute.js";
import type { PlanDetails, StageDetails } from "./details.js";
import { runsReference } from "./engine.js";
import { estimateTraining } from "./estimate.js";
import { resolveHardware, type ResolvedTrainingHardware } from "./hardware.js";
import { trainCommand } from "./launch-command.js";
import { recipeModelShape } from "./model-size.js";
import type { PlanProblem } from "./problem.js";
import type { TrainStage } from "./reference/train-arguments.js";

export interface DetailInputs {
  recipe: Recipe;
  /** Directory that a command writes the output of a stage to. */
  outputDirectory: (stage: string) => string;
  /** config.json of the recipe's model, where it is at hand. */
  modelConfig?: Readonly<Record<string, unknown>>;
  /** Where an external trainer finds a dataset of the recipe. */
  locateDataset?: (name: string) => string;
  /** Training rows of a stage, where they have been counted. */
  rowsOf?: (stage: string) => number | undefined;
  /** How fast a stage computes, where an earlier run tells. */
  throughputOf?: (stage: string) => Throughput | undefined;
  machineMemoryBytes?: number;
}

/** Returns the details of all training stages by id, and what cannot be done as it is written. */
export function trainingDetails(inputs: DetailInputs): {
  details: PlanDetails;
  problems: readonly PlanProblem[];
} {
  const details: Record<string, StageDetails> = {};
  // What is wrong with the recipe is wrong with all its stages, and said once.
  const problems = new Map<string, PlanProblem>();
  for (const section of trainingSections(inputs.recipe)) {
    const made = detailsOf(section, inputs);
    for (const problem of made.problems) {
      problems.set(`${problem.keyPath}: ${problem.message}`, problem);
    }
    if (made.details !== undefined) details[section.id] = made.details;
  }
  return { details, problems: [...problems.values()] };
}

function detailsOf(
  section: TrainingSection,
  inputs: DetailInputs,
): { details?: StageDetails; problems: PlanProblem[] } {
  const { hardware } = inputs.recipe;
  const { id, keyPath, settings } = section;
  const resolved = resolveHardware({ hardware, train: { stagePath: keyPath, ...settings } });
  if (!resolved.ok) return { problems: [...resolved.problems] };
  const { engineReason, launcherReason, words } = resolved.value;
  // The settings are those of the kind: sections are made so.
  const stage = { path: keyPath, kind: section.kind, settings } as TrainStage;
  const estimated = estimate(id, stage, resolved.value, inputs);
  const details: StageDetails = {
    engineReason,
    launcherReason,
    words,
    ...(estimated && { estimate: estimated.estimate }),
  };
  const problems = estimated?.problem === undefined ? [] : [estimated.problem];
  if (!runsReference(resolved.value.engine)) return { details, problems };
  const startModel = startModelOf(section, inputs);
  const command = trainCommand({
    recipe: inputs.recipe,
    stage,
    resolved: resolved.value,
    outputDirectory: inputs.outputDirectory(id),
    ...(startModel !== undefined && { startModel }),
    ...(inputs.locateDataset && { locateDataset: inputs.locateDataset }),
  });
  if (!command.ok) return { details, problems: [...problems, ...command.problems] };
  const { words: more, ...rest } = command.value;
  return { details: { ...details, words: [...words, ...more], command: rest }, problems };
}

function estimate(
  id: string,
  stage: TrainStage,
  resolved: ResolvedTrainingHardware,
  inputs: DetailInputs,
): ReturnType<typeof estimateTraining> | undefined {
  const { recipe, machineMemoryBytes } = inputs;
  const { hardware } = recipe;
  const shape = recipeModelShape(recipe, inputs.modelConfig);
  if (shape === undefined) return undefined;
  const rows = inputs.rowsOf?.(id);
  const throughput =
    inputs.throughputOf?.(id) ??
    (runsReference(resolved.engine) ? assumedA100(hardware.precision) : undefined);
  return estimateTraining({
    shape,
    stage,
    separators: recipe.dataset_separators,
    hardware,
    resolved,
    ...(rows !== undefined && { rows }),
    ...(throughput !== undefined && { throughput }),
    ...(machineMemoryBytes !== undefined && { machineMemoryBytes }),
  });
}

/** The scripts of the reference save their last model beside their checkpoints. */
function startModelOf(
  { from }: TrainingSection,
  { outputDirectory }: DetailInputs,
): string | undefined {
  const { stage, step } = parseModelSource(from);
  if (stage === RECIPE_MODEL) return undefined;
  return `${outputDirectory(stage)}/checkpoint-${step ?? "final"}`;
}
