/** @file A plan as Graphviz DOT. Source of the syntax: graphviz.org/doc/info/lang.html. */
import { sanitize } from "../base/sanitize.js";
import type { StageAction } from "../plan/stage.js";
import { planGraph } from "./plan-graph.js";
import type { PlanView } from "./plan-view.js";

const fills: Record<StageAction, string> = {
  reuse: "#e8eaee",
  resume: "#fff3cd",
  run: "#d7f0e0",
};

/** Returns the plan as a text for `dot`: edges lead from a stage to those that need it. */
export function planDot(plan: PlanView): string {
  const { nodes, edges } = planGraph(plan);
  return `${[
    `digraph ${quote([plan.name])} {`,
    "  rankdir=LR;",
    '  node [shape=box, style="rounded,filled", fontname="Helvetica"];',
    ...nodes.map(({ id, lines, action, isBlocked }) => {
      const border = isBlocked ? ', color="#b3261e"' : "";
      return `  ${quote([id])} [label=${quote(lines)}, fillcolor="${fills[action]}"${border}];`;
    }),
    ...edges.map(([from, to]) => `  ${quote([from])} -> ${quote([to])};`),
    "}",
  ].join("\n")}\n`;
}

/** A quoted string, its lines joined by DOT's own line break; a backslash means itself. */
function quote(lines: readonly string[]): string {
  const escaped = lines.map((line) =>
    sanitize(line).replace(/\s+/g, " ").replaceAll("\\", "\\\\").replaceAll('"', '\\"'),
  );
  return `"${escaped.join("\\n")}"`;
}
