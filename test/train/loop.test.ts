/** @file The training loop: learning, accumulation, resume, evaluation, divergence. */
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { sha256 } from "../../src/base/fs.js";
import type { TrainingSettings } from "../../src/recipe/schema.js";
import {
  readTrainingState,
  writeTrainingState,
  type TrainingState,
} from "../../src/train/checkpoint.js";
import { trainModel, type TrainHooks } from "../../src/train/loop.js";
import { makeStepBatch } from "../../src/train/step-batches.js";
import {
  freshState,
  maskId,
  padId,
  tinyArchitecture,
  tinyDataset,
  tinyLayout,
  tinyMask,
  tinySettings,
} from "../support/tiny-model.js";

type Record_ = { step: number } & Record<string, number>;

const weightsHash = ({ parameters }: TrainingState): string =>
  sha256(new Uint8Array(parameters.buffer, parameters.byteOffset, parameters.byteLength));

function recordingHooks(overrides: Partial<TrainHooks> = {}) {
  const records: Record_[] = [];
  let time = 0;
  const hooks: TrainHooks = {
    record: (record) => records.push(record),
    progress: () => undefined,
    checkpoint: () => Promise.resolve(),
    stopRequested: () => false,
    now: () => (time += 5),
    ...overrides,
  };
  return { records, hooks };
}

async function train(
  options: {
    state?: TrainingState;
    settings?: Partial<TrainingSettings>;
    hooks?: Partial<TrainHooks>;
    withTest?: boolean;
  } = {},
) {
  const state = options.state ?? freshState();
  const { records, hooks } = recordingHooks(options.hooks);
  const outcome = await trainModel({
    architecture: tinyArchitecture,
    state,
    train: tinyDataset(30),
    ...(options.withTest && { test: tinyDataset(10, 2) }),
    mask: tinyMask,
    settings: { ...tinySettings, ...options.settings },
    microBatchRows: 4,
    seed: 42,
    maskId,
    padId,
    engine: { threads: 1 },
    stage: "sft",
    hooks,
  });
  return { state, records, outcome };
}

describe("trainModel", () => {
  test("the loss falls, records come at their steps, and the first step has learning rate 0", async () => {
    const { records, outcome } = await train({
      settings: { max_steps: 60, learning_rate: 1e-2, eval_steps: 0.25, logging_steps: 10 },
      withTest: true,
    });
    const losses = records.filter((record) => "loss" in record);
    expect(losses.map(({ step }) => step)).toEqual([10, 20, 30, 40, 50, 60]);
    expect(losses.at(-1)!["loss"]).toBeLessThan(losses[0]!["loss"]! - 0.5);
    const evaluations = records.filter((record) => "eval_nll" in record);
    expect(evaluations.map(({ step }) => step)).toEqual([15, 30, 45, 60]);
    expect(outcome.figures["eval_ppl"]).toBeCloseTo(Math.exp(outcome.figures["eval_nll"]!), 6);
    expect(outcome.stopped).toBe(false);
    const first = await train({ settings: { max_steps: 10 } });
    expect(first.records[0]!["learning_rate"]).toBe(0);
  });

  test("the same seed gives the same weights; evaluating does not change them", async () => {
    const plain = await train();
    const evaluated = await train({ withTest: true });
    const otherSeed = await train({ state: freshState(8) });
    expect(weightsHash(evaluated.state)).toBe(weightsHash(plain.state));
    expect(weightsHash(otherSeed.state)).not.toBe(weightsHash(plain.state));
  });

  test.each([1, 5, 8, 11])("stopped after step %i and resumed: the same bytes", async (stopAt) => {
    const uninterrupted = await train({ withTest: true });
    const directory = mkdtempSync(join(tmpdir(), "dllm-train-"));
    let stop = false;
    const stopped = await train({
      withTest: true,
      hooks: {
        progress: () => undefined,
        stopRequested: () => stop,
        record: ({ step, loss }) => {
          if (step === stopAt && loss !== undefined) stop = true;
        },
        checkpoint: (state) => writeTrainingState(directory, tinyLayout, state),
      },
    });
    expect(stopped.outcome.stopped).toBe(true);
    expect(stopped.state.step).toBe(stopAt);
    const state = await readTrainingState(directory, tinyLayout);
    const resumed = await train({ state, withTest: true });
    expect(weightsHash(resumed.state)).toBe(weightsHash(uninterrupted.state));
    const later = uninterrupted.records.filter(({ step }) => step > stopAt);
    const withoutClock = (records: Record_[]) =>
      records.map((record) => ({ ...record, tokens_per_second: 0 }));
    expect(withoutClock(resumed.records)).toEqual(withoutClock(later));
    expect(resumed.outcome.figures["eval_nll"]).toBe(uninterrupted.outcome.figures["eval_nll"]);
  });

  test("a non-finite loss stops before it touches the weights", async () => {
    const state = freshState();
    await train({ state, settings: { max_steps: 3 } });
    state.parameters[5] = NaN;
    const before = weightsHash(state);
    await expect(train({ state })).rejects.toMatchObject({
      exitCode: 1,
      message: "stage sft: loss is NaN at step 4",
    });
    expect(weightsHash(state)).toBe(before);
  });
});

describe("gradient accumulation", () => {
  test.each(["token", "sequence", "batch"] as const)(
    "2 x 4 and 4 x 2 rows are the step of 1 x 8 (%s norm)",
    async (loss_norm_type) => {
      const run = async (microBatchRows: number) => {
        const state = freshState();
        const { records, hooks } = recordingHooks();
        await trainModel({
          architecture: tinyArchitecture,
          state,
          train: tinyDataset(30),
          mask: { ...tinyMask, loss_norm_type },
          settings: {
            ...tinySettings,
            max_steps: 6,
            batch_size: 8,
            group_rows: 8,
          },
          microBatchRows,
          seed: 42,
          maskId,
          padId,
          engine: { threads: 1 },
          stage: "sft",
          hooks,
        });
        return records.map(({ loss }) => loss!);
      };
      const whole = await run(8);
      for (const losses of [await run(4), await run(2)]) {
        losses.forEach((loss, i) => expect(Math.abs(loss / whole[i]! - 1)).toBeLessThan(2e-6));
      }
    },
  );

  test("a sample's masks do not depend on the batch it is in", () => {
    const dataset = tinyDataset(6);
    const make = (rows: number[]) =>
      makeStepBatch({
        dataset,
        rows,
        mask: tinyMask,
        maskId,
        padId,
        seed: 42,
        epoch: 1,
        microBatchRows: 1,
      }).microBatches;
    const alone = make([4])[0]!;
    const together = make([0, 4, 2])[1]!;
    const length = dataset.length(4);
    expect(alone.positions.length).toBeGreaterThan(0);
    expect([...together.positions].filter((position) => position < length)).toEqual([
      ...alone.positions,
    ]);
  });
});
