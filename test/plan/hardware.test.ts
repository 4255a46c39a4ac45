import { expect, test } from "vitest";
import { shareBatch } from "../../src/plan/batch.js";
import { resolveHardware, type ResolvedTrainingHardware } from "../../src/plan/hardware.js";
import type { Outcome } from "../../src/plan/problem.js";
import type { HardwareSettings } from "../../src/recipe/schema.js";
import { hardwareSettings } from "../support/settings.js";

interface Written {
  rows?: number;
  accumulation?: number;
  global?: number;
}

function resolve(
  hardware: Partial<HardwareSettings>,
  { rows = 48, accumulation = 1, global }: Written = {},
): Outcome<ResolvedTrainingHardware> {
  return resolveHardware({
    hardware: hardwareSettings(hardware),
    train: {
      stagePath: "sft",
      per_device_train_batch_size: rows,
      gradient_accumulation_steps: accumulation,
      ...(global !== undefined && { global_batch_size: global }),
    },
  });
}

function resolved(hardware: Partial<HardwareSettings>, written: Written = {}) {
  const outcome = resolve(hardware, written);
  if (!outcome.ok) throw new Error(outcome.problems[0]!.message);
  return outcome.value;
}

const problemsOf = (outcome: Outcome<unknown>) => (outcome.ok ? [] : outcome.problems);

const eight = { strategy: "zero2", gpus_per_node: 8 } as const;

test("one device: the embedded engine, batches as written", () => {
  expect(resolved({})).toEqual({
    engine: "onnx",
    engineReason: "one device",
    launcher: "local",
    launcherReason: "the onnx engine computes on this machine",
    worldSize: 1,
    devices: 1,
    microBatchRows: 48,
    accumulation: 1,
    globalBatchSize: 48,
    groupRows: 48,
    words: [],
  });
});

test("eight devices: the external trainer", () => {
  expect(resolved(eight)).toEqual({
    engine: "accelerate",
    engineReason: "8 devices",
    launcher: "local",
    launcherReason: "one node",
    worldSize: 8,
    devices: 8,
    microBatchRows: 48,
    accumulation: 1,
    globalBatchSize: 384,
    groupRows: 48,
    words: [],
  });
});

test("one device instead of eight: accumulation keeps the rows of a step", () => {
  expect(resolved({ ...eight, engine: "onnx" })).toMatchObject({
    engine: "onnx",
    engineReason: 'hardware.engine is "onnx"',
    launcher: "local",
    worldSize: 8,
    devices: 1,
    microBatchRows: 48,
    accumulation: 8,
    globalBatchSize: 384,
    groupRows: 48,
    words: [
      "1 device instead of 8: accumulation 8 instead of 1, so that a step still has 384 rows",
    ],
  });
  expect(resolved({ ...eight, nodes: 4, engine: "onnx" }, { accumulation: 2 })).toMatchObject({
    launcher: "local",
    accumulation: 64,
    groupRows: 96,
    words: [
      "1 device instead of 32: accumulation 64 instead of 2, so that a step still has 3072 rows",
    ],
  });
});

test("a global batch of its own: written accumulation first, then the largest micro-batch", () => {
  expect(resolved(eight, { rows: 16, global: 384 })).toMatchObject({
    microBatchRows: 16,
    accumulation: 3,
    groupRows: 16,
    words: ["global_batch_size 384 on 8 devices: accumulation 3 instead of 1, 48 rows each"],
  });
  expect(resolved(eight, { rows: 20, global: 384 })).toMatchObject({
    microBatchRows: 16,
    accumulation: 3,
    words: [
      "global_batch_size 384 on 8 devices: accumulation 3 instead of 1 and micro-batches of " +
        "16 rows instead of 20, 48 rows each",
    ],
  });
  // 24 rows would fit as well, but the recipe says 4 micro-batches.
  expect(resolved(eight, { rows: 24, accumulation: 4, global: 384 })).toMatchObject({
    microBatchRows: 12,
    accumulation: 4,
  });
  expect(resolved({ ...eight, engine: "onnx" }, { global: 384 })).toMatchObject({
    microBatchRows: 48,
    accumulation: 8,
  });
});

test("a global batch that the devices cannot share is refused with the arithmetic", () => {
  const outcome = resolve({ strategy: "ddp", gpus_per_node: 5 }, { global: 384 });
  expect(problemsOf(outcome)).toEqual([
    {
      keyPath: "sft.global_batch_size",
      message: "global_batch_size is 384, which 5 devices cannot share equally",
      details: [
        "384 rows over 5 devices are 76.8 each",
        "possible device counts: 1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, ...",
        "possible sizes for 5 devices: 380 or 385",
      ],
    },
  ]);
});

test("GPUs 1-16 x nodes 1-4 x micro-batch caps: the product is exact, or the plan is refused", () => {
  let exact = 0;
  let refused = 0;
  for (const engine of ["auto", "onnx", "accelerate"] as const) {
    for (let gpus = 1; gpus <= 16; gpus++) {
      for (let nodes = 1; nodes <= 4; nodes++) {
        for (const rows of [1, 2, 3, 7, 16, 48, 64]) {
          for (const accumulation of [1, 2, 3, 8]) {
            for (const global of [undefined, 1, 7, 97, 384, 1024]) {
              const outcome = resolve(
                { strategy: "ddp", engine, nodes, gpus_per_node: gpus },
                { rows, accumulation, ...(global !== undefined && { global }) },
              );
              const world = gpus * nodes;
              const wanted = global ?? rows * world * accumulation;
              const devices = engine === "onnx" ? 1 : world;
              if (!outcome.ok) {
                expect(wanted % devices).not.toBe(0);
                refused++;
                continue;
              }
              const plan = outcome.value;
              expect(plan.devices * plan.accumulation * plan.microBatchRows).toBe(wanted);
              expect(plan.globalBatchSize).toBe(wanted);
              expect(plan.devices).toBe(world === 1 ? 1 : devices);
              expect(plan.microBatchRows).toBeGreaterThan(0);
              expect(plan.microBatchRows).toBeLessThanOrEqual(rows);
              // The order of rows must not follow the devices.
              expect(plan.groupRows).toBe(rows * accumulation);
              exact++;
            }
          }
        }
      }
    }
  }
  expect(exact).toBeGreaterThan(10_000);
  expect(refused).toBeGreaterThan(1_000);
}, 30_000);

test("no larger micro-batch would divide the rows, unless the written accumulation is kept", () => {
  let found = 0;
  for (let rowsPerDevice = 1; rowsPerDevice <= 60; rowsPerDevice++) {
    for (let cap = 1; cap <= 30; cap++) {
      const outcome = shareBatch({
        stagePath: "sft",
        written: {
          per_device_train_batch_size: cap,
          gradient_accumulation_steps: 1,
          global_batch_size: rowsPerDevice * 3,
        },
        worldSize: 3,
        devices: 3,
      });
      if (!outcome.ok) throw new Error("not shared");
      const { microBatchRows } = outcome.value.batch;
      for (let size = microBatchRows + 1; size <= cap; size++) {
        expect(rowsPerDevice % size).not.toBe(0);
        found++;
      }
    }
  }
  expect(found).toBeGreaterThan(5_000);
});

test("numbers of any size are shared at once", () => {
  const largePrime = 999_999_999_989;
  expect(resolved({}, { rows: largePrime - 1, global: largePrime })).toMatchObject({
    microBatchRows: 1,
    accumulation: largePrime,
  });
  const outcome = resolve({ strategy: "ddp", gpus_per_node: 2 }, { global: largePrime });
  expect(problemsOf(outcome)[0]!.details[1]).toBe("possible device counts: 1");
});

test("several devices of a single strategy contradict each other", () => {
  expect(problemsOf(resolve({ gpus_per_node: 8, nodes: 2 }))).toEqual([
    {
      keyPath: "hardware.nodes",
      message: 'nodes is 2, but strategy is "single": one device',
      details: ["write strategy: ddp (or zero1, zero2, zero3, fsdp), or leave nodes out"],
    },
    {
      keyPath: "hardware.gpus_per_node",
      message: 'gpus_per_node is 8, but strategy is "single": one device',
      details: ["write strategy: ddp (or zero1, zero2, zero3, fsdp), or leave gpus_per_node out"],
    },
  ]);
});

test("the launcher and why", () => {
  const slurm = { time: "1:00:00", cpus_per_task: 24 };
  const launcherOf = (hardware: Partial<HardwareSettings>) => {
    const { launcher, launcherReason, words } = resolved(hardware);
    return [launcher, launcherReason, ...words];
  };
  expect(launcherOf({ ...eight, nodes: 4 })).toEqual(["slurm", "4 nodes"]);
  expect(launcherOf({ ...eight, slurm })).toEqual(["slurm", "hardware.slurm is written"]);
  expect(launcherOf({ ...eight, launcher: "slurm" })).toEqual([
    "slurm",
    'hardware.launcher is "slurm"',
  ]);
  expect(launcherOf({ slurm })).toEqual([
    "local",
    "the onnx engine computes on this machine",
    "hardware.slurm is not used: stages start on this machine",
  ]);
  expect(problemsOf(resolve({ ...eight, nodes: 4, launcher: "local" }))).toEqual([
    {
      keyPath: "hardware.launcher",
      message: 'launcher is "local", which cannot start processes on 4 nodes',
      details: ['write "launcher: slurm", or "nodes: 1"'],
    },
  ]);
});

test("settings that the engine has no use for are said in words", () => {
  expect(resolved({ precision: "bfloat16" }).words).toEqual([
    "precision bfloat16: the onnx engine computes in float32",
  ]);
  expect(resolved({ ...eight, precision: "bfloat16", threads: 4 }).words).toEqual([
    "threads 4: concerns the engines onnx and tfjs only",
  ]);
  expect(resolved({ ...eight, device: "cuda" }).words).toEqual([
    "device cuda: concerns the engines onnx and tfjs only",
  ]);
});

test("TensorFlow.js has no WebGPU outside browsers", () => {
  expect(problemsOf(resolve({ engine: "tfjs", device: "webgpu" }))).toMatchObject([
    { keyPath: "hardware.device" },
  ]);
  expect(resolved({ engine: "tfjs", device: "cuda" })).toMatchObject({
    engine: "tfjs",
    devices: 1,
  });
});

test("without a training stage there are no batches", () => {
  const outcome = resolveHardware({ hardware: hardwareSettings(eight) });
  expect(outcome).toEqual({
    ok: true,
    value: {
      engine: "accelerate",
      engineReason: "8 devices",
      launcher: "local",
      launcherReason: "one node",
      worldSize: 8,
      devices: 8,
      words: [],
    },
  });
});
