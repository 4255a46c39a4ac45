/**
 * @file What a plan's display says about a stage beyond the plan itself: why it runs where it
 * does, the exact command, what it takes. Computed for the display, not part of plan.json.
 */
import type { Command } from "../base/shell-text.js";
import type { TrainingEstimate } from "./estimate.js";

export interface StageDetails {
  /** Why this version cannot run it. */
  blocked?: string;
  engineReason?: string;
  launcherReason?: string;
  /** What is done otherwise than the recipe says, one sentence each. */
  words: readonly string[];
  /** What runs the stage, where it is not this program. */
  command?: Command;
  estimate?: TrainingEstimate;
}

/** Stage id to its details; stages without any may be left out. */
export type PlanDetails = Readonly<Record<string, StageDetails>>;
