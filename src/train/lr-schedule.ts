/**
 * @file Learning rate per optimizer step, and the step numbers of fractional intervals.
 * Source: huggingface/transformers@v4.57.6 optimization.py, training_args.py
 * (get_warmup_steps), trainer_callback.py (TrainerState.compute_steps).
 */
import type { TrainingSettings } from "../recipe/schema.js";

/** Factor of the peak learning rate at a 0-based optimizer step after warmup. */
const decays = {
  cosine: (progress) => Math.max(0, 0.5 * (1 + Math.cos(Math.PI * progress))),
  linear: (progress) => Math.max(0, 1 - progress),
  constant_with_warmup: () => 1,
  constant: () => 1,
} satisfies Record<TrainingSettings["lr_scheduler_type"], (progress: number) => number>;

export interface LrSchedule {
  maxSteps: number;
  warmupSteps: number;
  /** Learning rate of a 0-based optimizer step; the first step of a warmup has 0. */
  at(step: number): number;
}

/** Returns the learning-rate schedule of a training run of `maxSteps` optimizer steps. */
export function createLrSchedule(
  settings: Pick<
    TrainingSettings,
    "learning_rate" | "lr_scheduler_type" | "warmup_steps" | "warmup_ratio"
  >,
  maxSteps: number,
): LrSchedule {
  const warmupSteps = countWarmupSteps(settings, maxSteps);
  const decay = decays[settings.lr_scheduler_type];
  return {
    maxSteps,
    warmupSteps,
    at(step) {
      const factor =
        step < warmupSteps
          ? step / Math.max(1, warmupSteps)
          : decay((step - warmupSteps) / Math.max(1, maxSteps - warmupSteps));
      return settings.learning_rate * factor;
    },
  };
}

function countWarmupSteps(
  settings: Pick<TrainingSettings, "lr_scheduler_type" | "warmup_steps" | "warmup_ratio">,
  maxSteps: number,
): number {
  if (settings.lr_scheduler_type === "constant") return 0;
  if (settings.warmup_steps > 0) return settings.warmup_steps;
  return Math.ceil(maxSteps * settings.warmup_ratio);
}

/** Returns an interval in steps: itself, or a fraction of all steps when below 1. */
export function intervalSteps(interval: number, maxSteps: number): number {
  return interval < 1 ? Math.ceil(maxSteps * interval) : interval;
}

/**
 * Returns the number of optimizer steps of a training run.
 * @param rows of an epoch; without, as of a stream, all steps count as one epoch
 */
export function countSteps(
  settings: Pick<TrainingSettings, "max_steps" | "num_train_epochs" | "batch_size">,
  rows: number | undefined,
): { maxSteps: number; stepsPerEpoch: number } {
  if (rows === undefined) {
    const { max_steps: maxSteps } = settings;
    return { maxSteps, stepsPerEpoch: maxSteps };
  }
  const stepsPerEpoch = Math.max(1, Math.ceil(rows / settings.batch_size));
  const maxSteps =
    settings.max_steps > 0
      ? settings.max_steps
      : Math.ceil(settings.num_train_epochs * stepsPerEpoch);
  return { maxSteps, stepsPerEpoch };
}
