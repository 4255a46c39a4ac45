/**
 * @file The whole state of a training run at a step: weights, optimizer moments, and the
 * running figures between two log lines. Randomness and data position follow from the step.
 */
import { join } from "node:path";
import { readJson, writeJson } from "../base/fs.js";
import type { NllMeterState } from "../diffusion/loss.js";
import { loadParameters } from "../model/parameter-files.js";
import { tensorsOf, type ParameterLayout } from "../model/parameters.js";
import { writeSafetensors } from "../model/safetensors.js";
import type { AdamWState } from "./optimizer.js";

/** What is accumulated between two records of metrics.jsonl. */
export interface RunningFigures {
  lossSum: number;
  lossSteps: number;
  /** Since the previous evaluation. */
  nll: NllMeterState;
  /** The newest value of each figure. */
  latest: Readonly<Record<string, number>>;
}

export interface TrainingState {
  /** Optimizer steps taken. */
  step: number;
  parameters: Float32Array;
  optimizer: AdamWState;
  figures: RunningFigures;
}

const momentFiles = { firstMoment: "exp_avg", secondMoment: "exp_avg_sq" } as const;

/** Writes a state into a directory (to be published by the caller). */
export async function writeTrainingState(
  directory: string,
  layout: ParameterLayout,
  { step, parameters, optimizer, figures }: TrainingState,
): Promise<void> {
  await writeSafetensors(join(directory, "model.safetensors"), tensorsOf(layout, parameters));
  for (const [moment, stem] of Object.entries(momentFiles)) {
    const values = optimizer[moment as keyof typeof momentFiles];
    await writeSafetensors(join(directory, `${stem}.safetensors`), tensorsOf(layout, values));
  }
  await writeJson(join(directory, "trainer_state.json"), {
    schema: 1,
    step,
    optimizer_step: optimizer.step,
    figures,
  });
}

/** Reads what `writeTrainingState` wrote. @throws DllmError 65 when it does not fit the layout. */
export async function readTrainingState(
  directory: string,
  layout: ParameterLayout,
): Promise<TrainingState> {
  const read = (stem: string): Promise<Float32Array> =>
    loadParameters(layout, directory, (tensor) => tensor, stem);
  const state = readJson(join(directory, "trainer_state.json")) as {
    step: number;
    optimizer_step: number;
    figures: RunningFigures;
  };
  return {
    step: state.step,
    parameters: await read("model"),
    optimizer: {
      step: state.optimizer_step,
      firstMoment: await read(momentFiles.firstMoment),
      secondMoment: await read(momentFiles.secondMoment),
    },
    figures: state.figures,
  };
}
