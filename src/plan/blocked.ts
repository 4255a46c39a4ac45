/** @file What this version can plan and cannot execute yet: refused before anything runs. */
import type { StageSpec } from "./stage.js";

/** Returns why a stage cannot run, in one line; undefined when it can. */
export function blockedReason({ params, hardware }: StageSpec): string | undefined {
  if ("benchmark" in params) {
    return `this version has no harness for the benchmark ${String(params["benchmark"])}`;
  }
  if (hardware.engine === "accelerate") {
    return "this version does not start accelerate itself: run the command, or write hardware.engine: onnx";
  }
  if (hardware.launcher === "slurm") return "this version does not submit to Slurm itself";
  return undefined;
}
