/** @file The implementation of each stage kind, loaded when a stage of that kind runs. */
import type { StageImplementation, StageKind } from "../plan/stage.js";

export type StageRegistry = Readonly<
  Record<StageKind, () => Promise<{ run: StageImplementation }>>
>;

export const stageRegistry: StageRegistry = {
  prepare: () => import("./prepare.js"),
  pretrain: () => import("./train.js"),
  sft: () => import("./train.js"),
  eval: () => import("./eval.js"),
  export: () => import("./export.js"),
};
