/**
 * @file The code version of each stage kind: part of its fingerprints. Raise a kind's number when
 * a change to the code changes what its stages produce from equal inputs; then they run anew.
 */
import type { StageKind } from "./stage.js";

export const codeVersions = {
  prepare: 3,
  pretrain: 5,
  sft: 5,
  eval: 2,
  export: 1,
} as const satisfies Record<StageKind, number>;
