/**
 * @file A plan as its displays read it: which stages to show, what they lead to, and what is left
 * to do. Types here are the parts of src/plan's own (plan.ts, details.ts) that are shown.
 */
import type { JsonObject } from "../base/json.js";
import type { PlannedStage, StageAction } from "../plan/stage.js";

export type StageView = Pick<
  PlannedStage,
  "id" | "kind" | "action" | "reason" | "needs" | "hardware" | "blocked"
>;

export interface TrialView {
  id: string;
  parameters: JsonObject;
  stages: Readonly<Record<string, string>>;
}

export interface SweepView {
  method: string;
  metric?: { name: string; goal: string };
  earlyTermination?: { type: string; rungs: readonly number[]; eta: number };
  trials: readonly TrialView[];
}

/** A Plan is one. */
export interface PlanView {
  name: string;
  recipe: string;
  stages: readonly StageView[];
  sweep?: SweepView;
}

export interface StageDetailsView {
  blocked?: string;
  engineReason?: string;
  launcherReason?: string;
  words: readonly string[];
  command?: { argv: readonly string[] };
  estimate?: {
    parameters: number;
    steps?: number;
    tokensPerStep: number;
    flopsPerStep: number;
    memory: { peakBytes: number; dominant: string };
    memoryLimitBytes?: number;
    seconds?: { low: number; high: number; basis: string };
  };
}

/** A PlanDetails is one. */
export type PlanDetailsView = Readonly<Record<string, StageDetailsView>>;

/** Returns the stages that are not of a single trial: what trials share, or the whole plan. */
export function sharedStages({ stages, sweep }: PlanView): StageView[] {
  if (sweep === undefined) return [...stages];
  const trialsOf = new Map<string, number>();
  for (const trial of sweep.trials) {
    for (const id of new Set(Object.values(trial.stages))) {
      trialsOf.set(id, (trialsOf.get(id) ?? 0) + 1);
    }
  }
  // Of one trial all stages are shared: there is nothing to tell apart.
  return sweep.trials.length === 1
    ? [...stages]
    : stages.filter(({ id }) => trialsOf.get(id) !== 1);
}

/** Returns the edges of the graph without those that a longer way implies: id to what it needs. */
export function directNeeds(stages: readonly StageView[]): Map<string, string[]> {
  const position = new Map(stages.map(({ id }, index) => [id, index]));
  const reachable = new Map<string, Set<string>>();
  const direct = new Map<string, string[]>();
  // In plan order every stage comes after what it needs.
  for (const { id, needs } of stages) {
    const known = needs.filter((need) => position.has(need));
    const implied = new Set(known.flatMap((need) => [...reachable.get(need)!]));
    reachable.set(id, new Set([...known, ...implied]));
    direct.set(
      id,
      known
        .filter((need) => !implied.has(need))
        .sort((a, b) => position.get(a)! - position.get(b)!),
    );
  }
  return direct;
}

/** `3 of 4 stages to run (1 from a checkpoint), 1 reused`. */
export function summarise(stages: readonly StageView[]): string {
  const count = (action: StageAction) => stages.filter((stage) => stage.action === action).length;
  const pending = count("run") + count("resume");
  if (pending === 0) return `nothing to do: all ${stages.length} stages are finished`;
  const resumed = count("resume") > 0 ? ` (${count("resume")} from a checkpoint)` : "";
  return `${pending} of ${stages.length} stages to run${resumed}, ${count("reuse")} reused`;
}

const SHOWN_DIGITS = 6;

/** `learning_rate 0.0003, seed 1`: values by the last word of their key, drawn ones rounded. */
export function trialParameters({ parameters }: TrialView): string {
  return Object.entries(parameters)
    .map(([key, value]) => {
      const shown = typeof value === "number" ? Number(value.toPrecision(SHOWN_DIGITS)) : value;
      const text = typeof shown === "string" ? shown : JSON.stringify(shown);
      return `${key.split(".").at(-1)!} ${text}`;
    })
    .join(", ");
}

/** `12 trials: grid over sft.learning_rate, sft.seed; minimize eval_loss`. */
export function describeSweep({ method, metric, earlyTermination, trials }: SweepView): string {
  const keys = [...new Set(trials.flatMap(({ parameters }) => Object.keys(parameters)))];
  const count = `${trials.length.toLocaleString("en-US")} trial${trials.length === 1 ? "" : "s"}`;
  return [
    `${count}: ${method} over ${keys.join(", ")}`,
    ...(metric === undefined ? [] : [`${metric.goal} ${metric.name}`]),
    ...(earlyTermination === undefined
      ? []
      : [
          `of those at ${earlyTermination.rungs.join(", ")} logged values, ` +
            `1/${earlyTermination.eta} go on`,
        ]),
  ].join("; ");
}
