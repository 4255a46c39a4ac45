/** @file Stages that run in the process of a test: what they are given. */
import { mkdirSync } from "node:fs";
import type { JsonObject } from "../../src/base/json.js";
import type { CheckpointStore, StageContext, StageJob } from "../../src/plan/stage.js";
import { openCheckpoints } from "../../src/stages/checkpoints.js";

/** What a test says of a job; the rest is that of a first attempt on one core. */
export type TestJob = Pick<StageJob, "kind"> & { params: object } & Partial<
    Omit<StageJob, "kind" | "params">
  >;

export type TestWorld = Pick<StageContext, "outputDirectory"> &
  Partial<Omit<StageContext, "job" | "outputDirectory">>;

/** No checkpoint is there, and none is kept. */
export const withoutCheckpoints: CheckpointStore = {
  save: () => Promise.resolve(),
  latest: () => Promise.resolve(undefined),
  pinned: () => Promise.reject(new Error("there is none")),
};

/** Returns the checkpoints below a directory. */
export const checkpointsIn = (directory: string): CheckpointStore =>
  openCheckpoints(directory, { elapsedSeconds: () => 0, report: () => undefined });

/** Returns the context of a job, its output directory made: nothing that it says is looked at. */
export function stageContext(job: TestJob, world: TestWorld): StageContext {
  const { inputs = {} } = job;
  mkdirSync(world.outputDirectory, { recursive: true });
  return {
    job: {
      schema: 1,
      id: job.kind,
      fingerprint: "f".repeat(64),
      attempt: 1,
      hardware: { engine: "onnx", launcher: "local", device: "cpu", threads: 1 },
      locations: {},
      inputs,
      ...job,
      params: job.params as JsonObject,
    },
    input(name) {
      const directory = inputs[name];
      if (directory === undefined) throw new Error(`the job has no input ${name}`);
      return directory;
    },
    checkpoints: withoutCheckpoints,
    metric: () => undefined,
    progress: () => undefined,
    log: () => undefined,
    stop: { requested: false },
    ...world,
  };
}
