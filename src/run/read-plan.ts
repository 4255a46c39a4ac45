/** @file `plan.json` of a run, read with care: what is no plan is never taken for one. */
import { join } from "node:path";
import { DllmError, ExitCode } from "../base/errors.js";
import { readJson } from "../base/fs.js";
import type { Plan } from "../plan/plan.js";

const FINGERPRINT = /^[0-9a-f]{64}$/;

/** Whether a text has the form of a fingerprint, and so of a name in the store. */
export function isFingerprint(text: string): boolean {
  return FINGERPRINT.test(text);
}

/**
 * Returns the plan of a run's directory.
 * @throws DllmError 66 when there is none, 65 when it is damaged, 78 when a newer dllm wrote it
 */
export function readPlan(directory: string): Plan {
  const path = join(directory, "plan.json");
  const value = readJson(path) as Partial<Plan> | null;
  const schema: unknown = value?.schema;
  if (typeof schema === "number" && schema > 1) {
    throw new DllmError(`${path}: schema ${schema}, and this version of dllm reads schema 1`, {
      exitCode: ExitCode.environment,
      details: ["a newer dllm wrote it: use that one, or run the recipe again in another --runs"],
    });
  }
  if (schema === 1 && Array.isArray(value?.stages) && value.stages.every(isStage)) {
    return value as Plan;
  }
  throw new DllmError(`${path}: damaged: found other content, expected a plan of schema 1`, {
    exitCode: ExitCode.invalidInput,
    details: ["run the recipe again to write a new one"],
  });
}

function isStage(value: unknown): boolean {
  const stage = value as Partial<Plan["stages"][number]> | null;
  return (
    typeof stage?.id === "string" &&
    typeof stage.kind === "string" &&
    typeof stage.fingerprint === "string" &&
    isFingerprint(stage.fingerprint) &&
    typeof stage.inputs === "object"
  );
}
