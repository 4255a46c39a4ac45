/** @file A plan as a Mermaid flowchart. Source of the syntax: mermaid.js.org/syntax/flowchart. */
import { sanitize } from "../base/sanitize.js";
import type { StageAction } from "../plan/stage.js";
import { planGraph } from "./plan-graph.js";
import type { PlanView } from "./plan-view.js";

const styles: Record<StageAction | "blocked", string> = {
  reuse: "fill:#e8eaee,stroke:#8a8f98,color:#1b1d21",
  resume: "fill:#fff3cd,stroke:#a06a00,color:#1b1d21",
  run: "fill:#d7f0e0,stroke:#17693f,color:#1b1d21",
  blocked: "fill:#fbe9e7,stroke:#b3261e,color:#1b1d21",
};

/** Returns the plan as a text for Mermaid: edges lead from a stage to those that need it. */
export function planMermaid(plan: PlanView): string {
  const { nodes, edges } = planGraph(plan);
  // Ids of its own: a stage called `end` would end the chart.
  const names = new Map(nodes.map(({ id }, index) => [id, `s${index}`]));
  const classes = [
    ...new Set(nodes.map(({ action, isBlocked }) => (isBlocked ? "blocked" : action))),
  ];
  return `${[
    "flowchart LR",
    ...nodes.map(({ id, lines, action, isBlocked }) => {
      const label = lines.map(escape).join("<br>");
      return `  ${names.get(id)!}["${label}"]:::${isBlocked ? "blocked" : action}`;
    }),
    ...edges.map(([from, to]) => `  ${names.get(from)!} --> ${names.get(to)!}`),
    ...classes.map((name) => `  classDef ${name} ${styles[name]}`),
  ].join("\n")}\n`;
}

/** Text in quotes: Mermaid reads entity codes there, and HTML. */
function escape(text: string): string {
  return sanitize(text)
    .replace(/\s+/g, " ")
    .replace(/[#&"<>`\\]/g, (character) => `#${character.codePointAt(0)!};`);
}
