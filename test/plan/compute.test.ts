import { expect, test } from "vitest";
import {
  assumedA100,
  estimateDuration,
  forwardFlops,
  timedCpu,
  trainingFlops,
  type DurationInputs,
} from "../../src/plan/compute.js";
import { knownTrainingRows, trainingSteps } from "../../src/plan/known-datasets.js";
import { countParameters, presetShape, type ModelShape } from "../../src/plan/model-size.js";

const base = presetShape("modernbert-base");
const large = presetShape("modernbert-large");
const accelerate = { engine: "accelerate", sequence: 1024 } as const;

test("operations of a token, by hand", () => {
  expect(forwardFlops({ ...accelerate, shape: base })).toEqual({
    linear: 22 * 2 * (4 * 768 * 768 + 3 * 768 * 1152),
    attention: 22 * 2 * 2 * 1024 * 768,
    decoder: 2 * 768 * 768 + 2 * 768 * 50_368,
    total: 368_345_088,
  });
  const bert = presetShape("bert-base-uncased");
  expect(forwardFlops({ ...accelerate, sequence: 512, shape: bert })).toMatchObject({
    linear: 12 * 2 * (4 * 768 * 768 + 2 * 768 * 3072),
  });
  // The onnx engine decodes masked positions only.
  expect(forwardFlops({ engine: "onnx", sequence: 1024, shape: base }).decoder).toBe(
    2 * 768 * 768 + 768 * 50_368,
  );
});

test("close to the rule of six operations per parameter and token, attention aside", () => {
  for (const shape of [base, large, presetShape("roberta-large")]) {
    const rule = 6 * countParameters(shape).total;
    const { attention } = forwardFlops({ ...accelerate, shape });
    const ours = trainingFlops({ ...accelerate, shape }) - 3 * attention;
    // Tables of positions are parameters without operations.
    expect(ours / rule).toBeGreaterThan(0.99);
    expect(ours / rule).toBeLessThan(1.001);
  }
});

const separators = ["|", "+"] as const;

test("rows of the report's datasets", () => {
  const rows = (dataset_args: string, test_fraction: number) =>
    knownTrainingRows({ dataset_args, test_fraction }, separators);
  expect(rows("tatsu-lab/alpaca", 0.1)).toBe(46_801);
  expect(rows("tatsu-lab/alpaca[train:5_000,test:10]", 0.1)).toBe(5000);
  expect(rows("allenai/tulu-3-sft-mixture|HuggingFaceTB/smoltalk", 0.1)).toBe(1_889_325);
  expect(rows("HuggingFaceTB/smoltalk[name:all]", 0.1)).toBe(1_043_917);
  expect(rows("HuggingFaceTB/smoltalk[name:everyday-conversations]", 0.1)).toBeUndefined();
  expect(rows("tatsu-lab/alpaca + my/data", 0.1)).toBeUndefined();
  const weighted = [{ name: "tatsu-lab/alpaca", weight: 2 }];
  expect(
    knownTrainingRows({ dataset_args: weighted, test_fraction: 0.1 }, separators),
  ).toBeUndefined();
});

test("steps as derived from the report", () => {
  const epochs = (num_train_epochs: number) => ({ max_steps: -1, num_train_epochs });
  const batch = { microBatchRows: 64, accumulation: 1, devices: 8 };
  expect(trainingSteps(epochs(20), batch, 46_801)).toBe(1840);
  expect(trainingSteps(epochs(10), { ...batch, microBatchRows: 48 }, 1_889_325)).toBe(49_210);
  expect(trainingSteps({ max_steps: 200_000, num_train_epochs: 20 }, batch, 5)).toBe(200_000);
  expect(trainingSteps(epochs(20), batch, undefined)).toBeUndefined();
  // The same rows on one device with accumulation make the same steps.
  const one = { microBatchRows: 64, accumulation: 8, devices: 1 };
  for (const rows of [1, 511, 512, 513, 46_801]) {
    expect(trainingSteps(epochs(1), one, rows)).toBe(trainingSteps(epochs(1), batch, rows));
  }
});

const chat: DurationInputs = {
  ...accelerate,
  shape: large,
  steps: 49_210,
  globalBatchSize: 384,
  devices: 8,
  packed: false,
  throughput: assumedA100("bfloat16"),
};
const HOUR = 3600;

test("the band of the chat models holds the hours that the reference states", () => {
  const forLarge = estimateDuration(chat);
  expect(forLarge.low).toBeLessThan(7 * HOUR);
  expect(forLarge.high).toBeGreaterThan(7 * HOUR);
  const forBase = estimateDuration({ ...chat, shape: base });
  expect(forBase.low).toBeLessThan(4 * HOUR);
  expect(forBase.high).toBeGreaterThan(4 * HOUR);
  // And says something: not seconds to years.
  for (const { low, high } of [forLarge, forBase]) expect(high / low).toBeLessThan(8);
  expect(forLarge.low).toBeGreaterThan(2.5 * HOUR);
  expect(forLarge.basis).toBe(
    "assumed: A100, 25-55 % of 312 TFLOP/s; rows a third to all of max_length long",
  );
});

test("a measured pace wins over assumptions", () => {
  const throughput = { kind: "measured", tokensPerSecond: 1000, source: "run 3" } as const;
  const inputs = {
    ...chat,
    steps: 100,
    globalBatchSize: 10,
    sequence: 50,
    packed: true,
    throughput,
  };
  const { low, high, basis } = estimateDuration(inputs);
  expect(low).toBeCloseTo(42.5, 9);
  expect(high).toBeCloseTo(57.5, 9);
  expect(basis).toBe("run 3");
});

test("twice the devices take half the time", () => {
  const { low, high } = estimateDuration({ ...chat, devices: 16 });
  const before = estimateDuration(chat);
  expect(low).toBeCloseTo(before.low / 2, 6);
  expect(high).toBeCloseTo(before.high / 2, 6);
});

test("a CPU by its matrix product: steps as measured on two cores, idle and busy", () => {
  const seconds = (shape: ModelShape, rows: number, pace: number) =>
    estimateDuration({
      engine: "onnx",
      shape,
      sequence: 128,
      steps: 1,
      globalBatchSize: rows,
      devices: 1,
      packed: true,
      throughput: timedCpu(pace),
    });
  const narrow = { ...base, hidden: 256, intermediate: 384, layers: 6, vocabulary: 8192 };
  const runs = [
    { shape: narrow, rows: 8, pace: 151e9, measured: [0.206, 0.602] },
    { shape: { ...base, layers: 4 }, rows: 4, pace: 151e9, measured: [0.843, 0.941] },
  ];
  for (const { shape, rows, pace, measured } of runs) {
    const { low, high } = seconds(shape, rows, pace);
    expect(low).toBeLessThan(measured[0]!);
    expect(high).toBeGreaterThan(measured[1]!);
  }
});
