/** @file A plan as nodes and edges, for programs that draw graphs; many trials are one node. */
import type { StageAction } from "../plan/stage.js";
import { sharedStages, type PlanView, type StageView } from "./plan-view.js";

export interface GraphNode {
  id: string;
  /** Lines of text in it. */
  lines: readonly string[];
  /** What is done with it; of many stages, what is done with most. */
  action: StageAction;
  /** What cannot be run by this version. */
  isBlocked: boolean;
}

export interface PlanGraph {
  nodes: readonly GraphNode[];
  /** From a stage to one that needs it. */
  edges: readonly (readonly [from: string, to: string])[];
}

/** More trials are drawn as one. */
const DRAWN_TRIALS = 20;

/** Returns the graph of a plan. */
export function planGraph(plan: PlanView): PlanGraph {
  const trials = plan.sweep?.trials ?? [];
  const drawn = trials.length > DRAWN_TRIALS ? sharedStages(plan) : plan.stages;
  const nodeOf = new Map(drawn.map(({ id }) => [id, id]));
  const groups = new Map<string, StageView[]>();
  const byId = new Map(plan.stages.map((stage) => [stage.id, stage]));
  for (const trial of trials) {
    for (const [local, id] of Object.entries(trial.stages)) {
      const stage = byId.get(id);
      if (stage === undefined || nodeOf.get(id) === id) continue;
      nodeOf.set(id, local);
      const group = groups.get(local);
      if (group === undefined) groups.set(local, [stage]);
      else group.push(stage);
    }
  }
  const edges = new Map<string, readonly [string, string]>();
  for (const { id, needs } of plan.stages) {
    for (const need of needs) {
      const edge = [nodeOf.get(need) ?? need, nodeOf.get(id) ?? id] as const;
      edges.set(JSON.stringify(edge), edge);
    }
  }
  return {
    nodes: [
      ...drawn.map(({ id, action, reason, blocked }) => ({
        id,
        lines: [id, `${action}: ${reason}`],
        action,
        isBlocked: blocked !== undefined && action !== "reuse",
      })),
      ...[...groups].map(([id, stages]) => groupNode(id, stages)),
    ],
    edges: [...edges.values()],
  };
}

function groupNode(id: string, stages: readonly StageView[]): GraphNode {
  const actions = (["run", "resume", "reuse"] as const)
    .map((action) => ({ action, count: stages.filter((stage) => stage.action === action).length }))
    .filter(({ count }) => count > 0)
    .sort((a, b) => b.count - a.count);
  return {
    id,
    lines: [
      `${id} (${stages.length.toLocaleString("en-US")} trials)`,
      actions.map(({ action, count }) => `${action} ${count.toLocaleString("en-US")}`).join(", "),
    ],
    action: actions[0]!.action,
    isBlocked: stages.some(({ action, blocked }) => blocked !== undefined && action !== "reuse"),
  };
}
