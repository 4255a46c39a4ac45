/**
 * @file What a plan's display says about its stages beyond the plan: why they run where they do,
 * their exact commands, what they take. Nothing of it decides what is computed.
 */
import type { LoadedRecipe } from "../recipe/load.js";
import type { PlanDetails, StageDetails } from "./details.js";
import { runsReference } from "./engine.js";
import { resolveHardware } from "./hardware.js";
import type { BenchmarkParams } from "./params.js";
import type { PlanProblem } from "./problem.js";
import { evalCommand } from "./reference/eval-command.js";
import { trainingDetails, type DetailInputs } from "./stage-details.js";
import type { PlannedStage } from "./stage.js";

export interface DescribeInputs extends Omit<DetailInputs, "recipe"> {
  loaded: LoadedRecipe;
  /** Of this recipe alone, without other trials; ids as in the recipe. */
  stages: readonly PlannedStage[];
}

export interface PlanDescription {
  details: PlanDetails;
  /** What cannot be done as it is written, or does not fit, each at its place in the recipe. */
  problems: readonly PlanProblem[];
}

/** Returns what is known of the stages of a recipe, for people. */
export function describePlan({ loaded, stages, ...inputs }: DescribeInputs): PlanDescription {
  const trainings = trainingDetails({ recipe: loaded.recipe, ...inputs });
  const details: Record<string, StageDetails> = { ...trainings.details };
  const problems = [...trainings.problems];
  for (const stage of stages) {
    if ("benchmark" in stage.params) {
      const { problem, ...described } = benchmarkDetails(stage, loaded, inputs);
      details[stage.id] = described;
      if (problem !== undefined) problems.push(problem);
    }
    if (stage.blocked !== undefined) {
      details[stage.id] = { words: [], ...details[stage.id], blocked: stage.blocked };
    }
  }
  return { details, problems };
}

function benchmarkDetails(
  { id, params, inputs: stageInputs }: PlannedStage,
  { recipe }: LoadedRecipe,
  { outputDirectory }: Pick<DetailInputs, "outputDirectory">,
): StageDetails & { problem?: PlanProblem } {
  const { benchmark, settings, sampler, prompt_special_tokens, step } =
    params as unknown as BenchmarkParams;
  const resolved = resolveHardware({ hardware: recipe.hardware });
  if (!resolved.ok || !runsReference(resolved.value.engine)) return { words: [] };
  const from = stageInputs["model"]!;
  const { engineReason } = resolved.value;
  const made = evalCommand({
    edition: recipe.edition,
    benchmark,
    // The planner took them from the benchmark's own keys.
    settings: settings as unknown as Parameters<typeof evalCommand>[0]["settings"],
    path: id.slice(0, id.length - benchmark.length - 1),
    sampler,
    promptSpecialTokens: prompt_special_tokens,
    model: from.startsWith("prepare-")
      ? (recipe.model.name_or_path ?? from)
      : `${outputDirectory(from)}/checkpoint-${step ?? "final"}`,
    precision: recipe.hardware.precision,
    devices: resolved.value.devices,
  });
  if (!made.ok) return { words: [], problem: made.problems[0]! };
  return { engineReason, words: [], command: made.value };
}
