import { expect, test } from "vitest";
import { assumedA100 } from "../../src/plan/compute.js";
import { estimateTraining, inGib, type EstimateInputs } from "../../src/plan/estimate.js";
import { resolveHardware } from "../../src/plan/hardware.js";
import { presetShape } from "../../src/plan/model-size.js";
import type { TrainStage } from "../../src/plan/reference/train-arguments.js";
import type { HardwareSettings, SftSettings } from "../../src/recipe/schema.js";
import { hardwareSettings, pretrainSettings, sftSettings } from "../support/settings.js";

const eight: Partial<HardwareSettings> = {
  strategy: "zero2",
  gpus_per_node: 8,
  precision: "bfloat16",
  device_memory_gib: 80,
};

function estimate(
  written: Partial<HardwareSettings>,
  settings: Partial<SftSettings> = {},
  more: Partial<EstimateInputs> = {},
) {
  const hardware = hardwareSettings(written);
  const stage: TrainStage = {
    path: "sft",
    kind: "sft",
    settings: sftSettings("report", {
      dataset_args: "allenai/tulu-3-sft-mixture|HuggingFaceTB/smoltalk",
      max_length: 1024,
      num_train_epochs: 10,
      per_device_train_batch_size: 48,
      per_device_eval_batch_size: 48,
      ...settings,
    }),
  };
  const resolved = resolveHardware({
    hardware,
    train: { stagePath: stage.path, ...stage.settings },
  });
  if (!resolved.ok) throw new Error(resolved.problems[0]!.message);
  return estimateTraining({
    shape: presetShape("modernbert-large"),
    stage,
    separators: ["|"],
    hardware,
    resolved: resolved.value,
    ...more,
  });
}

test("the report's chat run: steps, memory and hours", () => {
  const { estimate: made, problem } = estimate(eight, {}, { throughput: assumedA100("bfloat16") });
  expect(problem).toBeUndefined();
  expect(made).toMatchObject({
    parameters: 395_881_664,
    steps: 49_210,
    tokensPerStep: 393_216,
    memory: { dominant: "activations" },
    memoryLimitBytes: 80 * 2 ** 30,
  });
  expect(inGib(made.memory.peakBytes)).toBe("67.7 GiB");
  expect(made.flopsPerStep / 393_216 / 395_881_664).toBeCloseTo(6.9, 1);
  expect(made.seconds!.low / 3600).toBeLessThan(7);
  expect(made.seconds!.high / 3600).toBeGreaterThan(7);
});

test("steps and time stay open where the rows are not known", () => {
  const { estimate: made } = estimate(
    eight,
    { dataset_args: "my/data" },
    { throughput: assumedA100("bfloat16") },
  );
  expect(made.steps).toBeUndefined();
  expect(made.seconds).toBeUndefined();
  expect(made.tokensPerStep).toBe(393_216);
  const counted = estimate(eight, { dataset_args: "my/data" }, { rows: 384 }).estimate;
  expect(counted.steps).toBe(10);
});

test("a training that does not fit: what takes most, and what to write instead", () => {
  expect(estimate({ ...eight, device_memory_gib: 40 }).problem).toEqual({
    keyPath: "sft.per_device_train_batch_size",
    message: "training takes about 67.7 GiB on each of 8 devices, and there are 40.0 GiB",
    details: [
      "most of it: activations, 50.5 GiB (rows x tokens x layers)",
      "at most 27 rows fit; write per_device_train_batch_size: 24 and " +
        "gradient_accumulation_steps: 2: a step still has 384 rows",
    ],
  });
  expect(estimate({ ...eight, device_memory_gib: 3 }).problem!.details.slice(1)).toEqual([
    "not even one row fits: take strategy: zero3 or fsdp, more devices, or a shorter max_length",
    'write eval_strategy: "no", or take a shorter max_length',
  ]);
});

test("what is written instead fits, and keeps the rows of a step and their order", () => {
  let suggested = 0;
  const onOne = { strategy: "single", gpus_per_node: 1 } as const;
  const engines = [{ engine: "accelerate" }, { engine: "onnx" }, onOne] as const;
  for (const engine of engines) {
    for (const device_memory_gib of [10, 13, 16, 24, 40, 60]) {
      for (const per_device_train_batch_size of [16, 47, 48, 60]) {
        const hardware = { ...eight, ...engine, device_memory_gib };
        const settings = { per_device_train_batch_size, per_device_eval_batch_size: 1 };
        const before = estimate(hardware, settings);
        const written = before.problem?.details[1]?.match(/size: (\d+) and .*steps: (\d+)/);
        if (!written) continue;
        const after = estimate(hardware, {
          ...settings,
          per_device_train_batch_size: Number(written[1]),
          gradient_accumulation_steps: Number(written[2]),
        });
        expect(after.problem).toBeUndefined();
        expect(after.estimate.tokensPerStep).toBe(before.estimate.tokensPerStep);
        expect(Number(written[1]) * Number(written[2])).toBe(per_device_train_batch_size);
        suggested++;
      }
    }
  }
  expect(suggested).toBeGreaterThan(15);
});

test("an evaluation that does not fit", () => {
  expect(estimate(eight, { per_device_eval_batch_size: 512 }).problem).toEqual({
    keyPath: "sft.per_device_eval_batch_size",
    message:
      "evaluating during the training takes about 170.1 GiB on each of 8 devices, and there are 80.0 GiB",
    details: ["most of it: the logits of all positions", "write per_device_eval_batch_size: 128"],
  });
  const silent = { per_device_eval_batch_size: 512, eval_strategy: "no" } as const;
  expect(estimate(eight, silent).problem).toBeUndefined();
});

test("the onnx engine computes in this machine's memory", () => {
  const onOne = { ...eight, engine: "onnx" } as const;
  const rows = { per_device_train_batch_size: 4, per_device_eval_batch_size: 4 };
  expect(estimate(onOne, rows, { machineMemoryBytes: 8 * 2 ** 30 })).toMatchObject({
    estimate: { memoryLimitBytes: 8 * 2 ** 30 },
    problem: {
      message: expect.stringMatching(
        /^training takes about .* GiB, and there are 8.0 GiB$/,
      ) as string,
    },
  });
  // A GPU's memory is no limit of the machine's, but a smaller number is.
  expect(
    estimate({ ...onOne, device_memory_gib: 2 }, rows, { machineMemoryBytes: 64e9 }),
  ).toMatchObject({ estimate: { memoryLimitBytes: 2 * 2 ** 30 } });
  expect(estimate(hardwareSettings(), rows).estimate.memoryLimitBytes).toBeUndefined();
});

test("pretraining packs its rows, and names its own steps", () => {
  const hardware = hardwareSettings(eight);
  const settings = pretrainSettings("head", { dataset_args: "a", max_steps: 20, max_length: 512 });
  const stage: TrainStage = { path: "pretrain", kind: "pretrain", settings };
  const resolved = resolveHardware({ hardware, train: { stagePath: "pretrain", ...settings } });
  if (!resolved.ok) throw new Error("not resolved");
  const { estimate: made } = estimateTraining({
    shape: presetShape("bert-base-cased"),
    stage,
    separators: ["|"],
    hardware,
    resolved: resolved.value,
    throughput: { kind: "measured", tokensPerSecond: 1000, source: "measured" },
  });
  expect(made).toMatchObject({ steps: 20, tokensPerStep: 128 * 512 });
  expect(made.seconds!.high / made.seconds!.low).toBeCloseTo(1.15 / 0.85, 9);
});
