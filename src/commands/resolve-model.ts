/** @file From what a user calls a model (a directory, a run) to a directory with its files. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { DllmError, ExitCode } from "../base/errors.js";
import { readJson } from "../base/fs.js";
import type { Plan } from "../plan/plan.js";
import { asStageResult, stageFiles } from "../plan/stage-files.js";
import type { StageKind } from "../plan/stage.js";
import type { Recipe, SamplerSettings } from "../recipe/schema.js";
import { listRuns } from "../report/run-data.js";
import { runPaths } from "../run/run-paths.js";

export interface ResolvedModel {
  /** Directory in Hugging Face layout. */
  directory: string;
  /** For people: `quickstart (export)` or the directory. */
  title: string;
  /** How the run's evaluation samples, where it does: the settings that fit the model. */
  sampler?: SamplerSettings;
}

/** The stages that make models; the first one that has finished is the run's final model. */
const modelKinds: readonly StageKind[] = ["export", "sft", "pretrain"];

/**
 * Returns the model of a model directory, or the newest of a run's export, sft and pretrain
 * models; a run is given by its name in `runs` or its directory.
 * @throws DllmError 66 when there is none
 */
export function resolveModel(model: string, runs: string): ResolvedModel {
  if (existsSync(join(model, "config.json"))) return { directory: model, title: model };
  const run = [model, join(runs, model)].find((path) => existsSync(join(path, "plan.json")));
  if (run === undefined) {
    const names = listRuns(runs);
    throw new DllmError(`no model or run "${model}"`, {
      exitCode: ExitCode.notFound,
      details: [
        "expected a directory with config.json and model.safetensors, or a run",
        names.length > 0 ? `runs in ${runs}: ${names.join(", ")}` : `there are no runs in ${runs}`,
      ],
    });
  }
  const paths = runPaths(run, ".");
  const plan = readJson(paths.plan) as Plan;
  const candidates = modelKinds.flatMap((kind) =>
    plan.stages.filter((stage) => stage.kind === kind).reverse(),
  );
  const stage = candidates.find(({ id, fingerprint }) => {
    const working = join(paths.stages, id);
    return (
      isFinished(join(working, stageFiles.result), fingerprint) &&
      existsSync(join(working, stageFiles.output, "config.json"))
    );
  });
  if (stage === undefined) {
    throw new DllmError(`run ${plan.name} has no finished model`, {
      exitCode: ExitCode.notFound,
      details: [
        candidates.length > 0
          ? `not finished: ${candidates.map(({ id }) => id).join(", ")}`
          : "it has no stage that makes a model",
        `continue it with: dllm run ${plan.recipe}`,
      ],
    });
  }
  const sampler = existsSync(paths.recipe)
    ? (readJson(paths.recipe) as Recipe).eval?.sampler
    : undefined;
  return {
    directory: join(paths.stages, stage.id, stageFiles.output),
    title: `${plan.name} (${stage.id})`,
    ...(sampler && { sampler }),
  };
}

/** Whether a result.json belongs to this fingerprint: not to the recipe's earlier version. */
function isFinished(path: string, fingerprint: string): boolean {
  return existsSync(path) && asStageResult(readJson(path), fingerprint) !== undefined;
}
