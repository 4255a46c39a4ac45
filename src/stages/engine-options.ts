/** @file What computes a stage's tensors. */
import type { EngineOptions } from "../engine/session.js";
import type { StageHardware } from "../plan/stage.js";

/** Returns the engine of a stage that computes in this process. */
export function engineOptions({ engine, device, threads }: StageHardware): EngineOptions {
  if (engine === "accelerate") throw new TypeError("accelerate computes in processes of its own");
  return { engine, device, threads };
}
