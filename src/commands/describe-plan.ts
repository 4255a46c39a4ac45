/** @file What commands say about a plan's stages: commands, reasons, memory, time. */
import { existsSync, readFileSync } from "node:fs";
import { totalmem } from "node:os";
import { join, relative } from "node:path";
import { ExitCode } from "../base/errors.js";
import { canonicalJson, type JsonObject } from "../base/json.js";
import type { Throughput } from "../plan/compute.js";
import { describePlan, type PlanDescription } from "../plan/describe.js";
import type { Plan } from "../plan/plan.js";
import type { PlannedStage } from "../plan/stage.js";
import type { LoadedRecipe } from "../recipe/load.js";
import { readMetrics, seriesOf } from "../report/metrics.js";
import type { RunPaths } from "../run/run-paths.js";
import type { RecipePlan } from "./recipe-plan.js";

/** Returns the details of a plan's stages; of a sweep, of its shared stages and first trial. */
export function describeStages(planned: RecipePlan): PlanDescription {
  const { loaded, plan } = planned;
  const [trial] = plan.sweep?.trials ?? [];
  if (trial === undefined) return describe(planned, loaded, plan.stages);
  const planIds = Object.entries(trial.stages);
  const byId = new Map(plan.stages.map((stage) => [stage.id, stage]));
  const localIds = new Map(planIds.map(([local, id]) => [id, local]));
  const stages = planIds.flatMap(([local, id]): PlannedStage[] => {
    const stage = byId.get(id);
    if (stage === undefined) return [];
    const inputs = Object.entries(stage.inputs).map(([name, to]) => [name, localIds.get(to) ?? to]);
    return [{ ...stage, id: local, inputs: Object.fromEntries(inputs) as PlannedStage["inputs"] }];
  });
  const { details, problems } = describe(planned, loaded.withValues(trial.parameters), stages);
  const renamed = Object.entries(details).map(([local, each]) => [trial.stages[local]!, each]);
  return { details: Object.fromEntries(renamed) as PlanDescription["details"], problems };
}

/**
 * Refuses a plan with a stage that does not fit, or that its engine cannot run as it is written.
 * @throws RecipeError 4, at the value that makes it so
 */
export function refuseTooLarge(loaded: LoadedRecipe, { problems }: PlanDescription): void {
  const [problem] = problems;
  if (problem === undefined) return;
  const { keyPath, message, details } = problem;
  throw loaded.errorAt(keyPath, { message, details, exitCode: ExitCode.cannotFit });
}

function describe(
  { previous, pinned, paths }: RecipePlan,
  loaded: LoadedRecipe,
  stages: readonly PlannedStage[],
): PlanDescription {
  const model = loaded.recipe.model.name_or_path;
  const directory = model === undefined ? undefined : pinned.locations[model];
  const modelConfig = directory === undefined ? undefined : readConfig(directory);
  const now = new Map(stages.map((stage) => [stage.id, stage]));
  return describePlan({
    loaded,
    stages,
    outputDirectory: (id) => join(shownPath(paths.stages), id, "output"),
    throughputOf: (id) => measuredThroughput({ id, now: now.get(id), previous, paths }),
    ...(modelConfig !== undefined && { modelConfig }),
    machineMemoryBytes: machineMemory(),
  });
}

/** A path as short as it can be typed here. */
function shownPath(path: string): string {
  const fromHere = relative(process.cwd(), path);
  return fromHere.startsWith("..") ? path : fromHere;
}

/** What the machine, or the group that this process is confined to, has. */
function machineMemory(): number {
  const confined = process.constrainedMemory();
  return confined > 0 ? Math.min(confined, totalmem()) : totalmem();
}

function readConfig(directory: string): JsonObject | undefined {
  const file = join(directory, "config.json");
  try {
    return JSON.parse(readFileSync(file, "utf8")) as JsonObject;
  } catch {
    // What is wrong with it is said by the stage that reads it.
    return undefined;
  }
}

/** The pace of the run before, where the stage trained the same model. */
function measuredThroughput({
  id,
  now,
  previous,
  paths,
}: {
  id: string;
  now: PlannedStage | undefined;
  previous: Plan | undefined;
  paths: RunPaths;
}): Throughput | undefined {
  const before = previous?.stages.find((stage) => stage.id === id);
  if (before === undefined || now === undefined) return undefined;
  const isSameWork =
    canonicalJson(before.params["model"] ?? null) === canonicalJson(now.params["model"] ?? null) &&
    before.hardware.engine === now.hardware.engine;
  const file = join(paths.stages, id, "metrics.jsonl");
  if (!isSameWork || !existsSync(file)) return undefined;
  const sorted = seriesOf(readMetrics(file), "tokens_per_second").values.sort((a, b) => a - b);
  if (sorted.length === 0) return undefined;
  const tokensPerSecond = sorted[Math.floor(sorted.length / 2)]!;
  return {
    kind: "measured",
    tokensPerSecond,
    source: `measured in the run before: ${Math.round(tokensPerSecond).toLocaleString("en-US")} tokens/s`,
  };
}
