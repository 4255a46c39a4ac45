/** @file The specification that a stage process gets, made from a plan. */
import { join } from "node:path";
import { readJson } from "../base/fs.js";
import type { Plan } from "../plan/plan.js";
import { stageFiles } from "../plan/stage-files.js";
import type { PlannedStage, StageJob } from "../plan/stage.js";
import type { Store } from "./store.js";

/** How a stage is run this time. */
export interface JobOptions {
  threads: number;
  /** Compute it although it is finished. */
  anew?: boolean;
}

/** How all stages of a run are run. */
export interface JobMakerOptions {
  /** Whether to begin anew when all checkpoints of a stage are damaged, instead of refusing. */
  allowRestart?: boolean | undefined;
}

/** Returns a function that makes the job of a stage's next attempt, its inputs being outputs of the plan. */
export function jobMaker(
  plan: Plan,
  store: Store,
  { allowRestart = false }: JobMakerOptions = {},
): (stage: PlannedStage, options: JobOptions) => StageJob {
  const byId = new Map(plan.stages.map((stage) => [stage.id, stage]));
  return (stage, { threads, anew = false }) => {
    const { id, kind, fingerprint, params, locations } = stage;
    const inputs = Object.fromEntries(
      Object.entries(stage.inputs).map(([name, inputId]) => {
        const input = byId.get(inputId);
        if (!input) throw new Error(`plan: stage ${id} needs ${inputId}, which is not in the plan`);
        return [name, join(store.directory(input.fingerprint), stageFiles.output)];
      }),
    );
    const hardware = { ...stage.hardware, threads };
    const attempt = (lastJob(store.directory(fingerprint))?.attempt ?? 0) + 1;
    const job = { id, kind, fingerprint, attempt, params, hardware, locations, inputs };
    return {
      schema: 1,
      ...job,
      ...(anew && { anew: true }),
      ...(allowRestart && { allowRestart: true }),
    };
  };
}

/** Returns the job of the last attempt in a working directory, as far as it can be read. */
export function lastJob(
  directory: string,
): { attempt: number; threads: number | undefined } | undefined {
  try {
    const { attempt, hardware } = readJson(join(directory, stageFiles.spec)) as Partial<StageJob>;
    if (!Number.isSafeInteger(attempt)) return undefined;
    return { attempt: Number(attempt), threads: hardware?.threads };
  } catch {
    return undefined;
  }
}
