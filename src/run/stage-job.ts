/** @file The specification that a stage process gets, made from a plan. */
import { join } from "node:path";
import { readJson } from "../base/fs.js";
import type { Plan } from "../plan/plan.js";
import { stageFiles } from "../plan/stage-files.js";
import type { PlannedStage, StageJob } from "../plan/stage.js";
import type { Store } from "./store.js";

/** Returns the job of a stage's next attempt, its inputs being the outputs of the plan's stages. */
export function makeJob(
  plan: Plan,
  stage: PlannedStage,
  store: Store,
  { allowRestart = false }: { allowRestart?: boolean | undefined } = {},
): StageJob {
  const { id, kind, fingerprint, params, hardware, locations } = stage;
  const outputOf = (inputId: string): string => {
    const input = plan.stages.find((each) => each.id === inputId);
    if (!input) throw new Error(`plan: stage ${id} needs ${inputId}, which is not in the plan`);
    return join(store.directory(input.fingerprint), stageFiles.output);
  };
  const inputs = Object.fromEntries(
    Object.entries(stage.inputs).map(([name, inputId]) => [name, outputOf(inputId)]),
  );
  const attempt = lastAttempt(store.directory(fingerprint)) + 1;
  const job = { schema: 1, id, kind, fingerprint, attempt, params, hardware, locations } as const;
  return { ...job, ...(allowRestart ? { allowRestart } : {}), inputs };
}

function lastAttempt(directory: string): number {
  try {
    const { attempt } = readJson(join(directory, stageFiles.spec)) as Partial<StageJob>;
    return Number.isSafeInteger(attempt) ? Number(attempt) : 0;
  } catch {
    return 0;
  }
}
