/** @file The input `model` of a stage: a model directory, or one that a training kept at a step. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { DllmError, ExitCode } from "../base/errors.js";
import type { StageContext } from "../plan/stage.js";

/** The directory, within a training's output, of the model that it kept at a step. */
export function keptModel(step: number): string {
  return `checkpoint-${step}`;
}

/**
 * Returns the directory of the input `model`, or of what its training kept at a step.
 * @throws DllmError 65 when the training ended before that step
 */
export function modelInput(context: StageContext, step: number | undefined): string {
  const directory = context.input("model");
  if (step === undefined) return directory;
  const kept = join(directory, keptModel(step));
  if (!existsSync(kept)) {
    throw new DllmError(`stage ${context.job.id}: its model was not kept at step ${step}`, {
      exitCode: ExitCode.invalidInput,
      details: [
        `looked for ${kept}`,
        "the training had fewer steps: lower the step, or train longer",
      ],
    });
  }
  return kept;
}
