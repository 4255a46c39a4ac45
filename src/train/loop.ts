/**
 * @file The training loop: one optimizer step at a time from a resumable state, with logging,
 * evaluation and checkpoints at their intervals. Order of records at one step as in
 * huggingface/transformers@v4.57.6 trainer.py: train, evaluation, then the checkpoint.
 */
import { DllmError, ExitCode } from "../base/errors.js";
import type { TokenDataset } from "../data/token-dataset.js";
import { createNllMeter } from "../diffusion/loss.js";
import type { EngineOptions } from "../engine/session.js";
import { layOut } from "../model/parameters.js";
import type { Architecture } from "../model/registry.js";
import type { MaskSettings, TrainingSettings } from "../recipe/schema.js";
import type { RunningFigures, TrainingState } from "./checkpoint.js";
import { evaluateLoss } from "./evaluate-loss.js";
import { countSteps, createLrSchedule, intervalSteps } from "./lr-schedule.js";
import { adamWStep, clipFactor, gradientNorm } from "./optimizer.js";
import { epochRows, type StepRows } from "./step-rows.js";
import { makeStepBatch, weightedSum, type StepBatch } from "./step-batches.js";
import { createTrainingStep, type TrainingStep } from "./training-step.js";

export interface TrainRun {
  architecture: Architecture;
  /** Where to start; its buffers are updated in place. */
  state: TrainingState;
  train: TokenDataset | StepRows;
  /** Held-out rows; absent: no evaluation. */
  test?: TokenDataset;
  mask: MaskSettings;
  settings: TrainingSettings;
  /** Rows per forward pass; more in a step are accumulated. */
  microBatchRows: number;
  seed: number;
  maskId: number;
  padId: number;
  /** What computes; see EngineOptions. */
  engine: EngineOptions;
  /** Name of the stage, for messages. */
  stage: string;
  hooks: TrainHooks;
}

export interface TrainHooks {
  record(record: { step: number } & Record<string, number>): void;
  progress(done: number, total: number, message: string): void;
  /** Makes the state durable before it returns. */
  checkpoint(state: TrainingState): Promise<void>;
  /** Whether to stop after the step at hand. */
  stopRequested(): boolean;
  /** Whether to save after the step at hand and go on. */
  saveRequested?(): boolean;
  /** Monotonic milliseconds. */
  now(): number;
}

/** Final figures of a run; `stopped` when it ended early with its state checkpointed. */
export interface TrainOutcome {
  stopped: boolean;
  figures: Record<string, number>;
}

export const emptyFigures = (): RunningFigures => ({
  lossSum: 0,
  lossSteps: 0,
  nll: { weightedNllSum: 0, maskableTokens: 0 },
  latest: {},
});

function checkFinite(name: string, value: number, run: TrainRun, previous: number): void {
  if (Number.isFinite(value)) return;
  const { stage, state } = run;
  const before = Number.isNaN(previous) ? "" : ` (${previous.toPrecision(3)} before)`;
  throw new DllmError(`stage ${stage}: ${name} is ${value} at step ${state.step + 1}${before}`, {
    exitCode: ExitCode.stageFailed,
    reason: "diverged",
    details: [
      "training diverged; the weights before this step were not changed by it",
      "the last checkpoint is kept: lower learning_rate or max_grad_norm, or raise warmup, and run again",
    ],
  });
}

/** Leaves the mean gradient of the step in `gradient`; returns its loss and weighted NLL. */
async function accumulateGradient(
  step: TrainingStep,
  { microBatches }: StepBatch,
  gradient: Float32Array,
  sum: Float32Array | undefined,
): Promise<{ loss: number; weightedNll: number; maskableTokens: number }> {
  let loss = 0;
  let weightedNll = 0;
  let maskableTokens = 0;
  sum?.fill(0);
  for (const batch of microBatches) {
    const nll = await step.differentiate(batch);
    loss += weightedSum(batch.weights, nll);
    weightedNll += weightedSum(batch.scheduleWeights, nll);
    maskableTokens += batch.maskableTokens;
    if (sum) for (let i = 0; i < sum.length; i++) sum[i]! += gradient[i]!;
  }
  if (sum) gradient.set(sum);
  return { loss, weightedNll, maskableTokens };
}

/** Trains until the last step or until asked to stop; every stop leaves a checkpoint. */
export async function trainModel(run: TrainRun): Promise<TrainOutcome> {
  const { architecture, state, train, test, mask, settings, seed, maskId, padId, hooks } = run;
  const layout = layOut(architecture.family.parameters(architecture.config));
  const { maxSteps, stepsPerEpoch } = countSteps(settings, train.rows);
  const stepRows = "at" in train ? train : epochRows(train, { settings, seed, stepsPerEpoch });
  const lr = createLrSchedule(settings, maxSteps);
  const every = (interval: number): ((step: number) => boolean) => {
    const steps = intervalSteps(interval, maxSteps);
    return (step) => step % steps === 0;
  };
  const logs = every(settings.logging_steps);
  const saves = every(settings.save_steps);
  const evaluates = every(settings.eval_steps);

  const { microBatchRows } = run;
  const gradient = new Float32Array(layout.size);
  const sum = settings.batch_size > microBatchRows ? new Float32Array(layout.size) : undefined;
  const { parameters } = state;
  const step = createTrainingStep({ architecture, parameters, gradient, ...run.engine });

  const meter = createNllMeter(state.figures.nll);
  let { lossSum, lossSteps } = state.figures;
  let lastLoss = NaN;
  let [logTime, logTokens, tokensPerSecond] = [hooks.now(), 0, 0];
  const figures: Record<string, number> = { ...state.figures.latest };

  const checkpoint = async (): Promise<void> => {
    state.figures = { lossSum, lossSteps, nll: meter.state(), latest: figures };
    await hooks.checkpoint(state);
  };

  try {
    while (state.step < maxSteps) {
      const batch = makeStepBatch({
        ...(await stepRows.at(state.step)),
        mask,
        maskId,
        padId,
        seed,
        microBatchRows,
      });
      const { loss, weightedNll, maskableTokens } = await accumulateGradient(
        step,
        batch,
        gradient,
        sum,
      );
      checkFinite("loss", loss, run, lastLoss);
      const norm = gradientNorm(gradient);
      checkFinite("the gradient norm", norm, run, NaN);
      const learningRate = lr.at(state.step);
      adamWStep({
        layout,
        parameters,
        gradient,
        gradientScale: clipFactor(norm, settings.max_grad_norm),
        state: state.optimizer,
        learningRate,
        settings,
      });
      state.step++;
      lastLoss = loss;
      lossSum += loss;
      lossSteps++;
      logTokens += batch.tokens;
      meter.add(weightedNll, maskableTokens);

      if (logs(state.step) || state.step === maxSteps) {
        const now = hooks.now();
        tokensPerSecond = (1000 * logTokens) / Math.max(1, now - logTime);
        [logTime, logTokens] = [now, 0];
        figures["loss"] = lossSum / lossSteps;
        hooks.record({
          step: state.step,
          loss: figures["loss"],
          learning_rate: learningRate,
          grad_norm: norm,
          epoch: state.step / stepsPerEpoch,
          tokens_per_second: tokensPerSecond,
        });
        [lossSum, lossSteps] = [0, 0];
      }
      if (test && settings.eval_strategy === "steps" && evaluates(state.step)) {
        const before = hooks.now();
        const held = await evaluateLoss({
          step,
          dataset: test,
          mask,
          maskId,
          padId,
          seed,
          batchSize: settings.per_device_eval_batch_size,
          groupByLength: settings.group_by_length,
        });
        Object.assign(figures, meter.read(), held);
        hooks.record({ step: state.step, ...meter.read(), ...held });
        meter.reset();
        logTime += hooks.now() - before; // throughput is of training alone
      }
      const stopping = hooks.stopRequested() && state.step < maxSteps;
      const keeps = settings.keep_steps.includes(state.step);
      const asked = hooks.saveRequested?.() ?? false;
      if (saves(state.step) || keeps || state.step === maxSteps || stopping || asked) {
        const before = hooks.now();
        await checkpoint();
        logTime += hooks.now() - before;
      }
      const rate = tokensPerSecond > 0 ? `  ${formatRate(tokensPerSecond)} tokens/s` : "";
      hooks.progress(state.step, maxSteps, `loss ${loss.toFixed(3)}${rate}`);
      if (stopping) return { stopped: true, figures };
    }
    return { stopped: false, figures };
  } finally {
    await step.dispose();
  }
}

function formatRate(perSecond: number): string {
  return perSecond >= 10_000 ? `${(perSecond / 1000).toFixed(1)}k` : perSecond.toFixed(0);
}
