/**
 * @file `dllm plan <recipe>` shows which stages would run, why, where, and with how much memory
 * and time. Writes nothing.
 */
import pc from "picocolors";
import { ExitCode } from "../base/errors.js";
import { sanitize } from "../base/sanitize.js";
import type { PlanDetails } from "../plan/details.js";
import type { Plan } from "../plan/plan.js";
import { planDot } from "../report/plan-dot.js";
import { planMermaid } from "../report/plan-mermaid.js";
import { planTree } from "../report/plan-tree.js";
import type { PlanCommand } from "./command.js";
import { describeStages, refuseTooLarge } from "./describe-plan.js";
import { loadWithOptions, makePlan } from "./recipe-plan.js";

export const run: PlanCommand = async ([recipe, overrides], options, io) => {
  const loaded = await loadWithOptions(recipe, overrides, options);
  const planned = await makePlan(loaded, options);
  const { plan, store } = planned;
  for (const { problem } of store.problems) io.err(`warning: ${problem}`);
  const format = options.json ? "json" : options.format;
  if (format === "dot") {
    io.write(planDot(plan));
  } else if (format === "mermaid") {
    io.write(planMermaid(plan));
  } else {
    const description = describeStages(planned);
    const { details } = description;
    if (format === "json") {
      io.out(JSON.stringify(planJson(plan, details), null, 2));
    } else {
      const colors = pc.createColors(io.isTty && process.env["NO_COLOR"] === undefined);
      for (const line of planTree(plan, { colors, details, width: io.columns })) io.out(line);
      for (const line of reproductionLines(plan)) io.out(sanitize(line));
    }
    refuseTooLarge(loaded, description);
  }
  return ExitCode.ok;
};

/** What is repeated, and how many of its figures results will be compared with. */
function reproductionLines({ reproduces, expects = [] }: Plan): string[] {
  if (reproduces === undefined) return [];
  const { report, edition, experiment, dllm_commit: commit, note } = reproduces;
  const what = [experiment, edition, commit && `dllm at ${commit}`].filter(Boolean).join("; ");
  return [
    "",
    `reproduces ${report}${what === "" ? "" : `: ${what}`}`,
    ...(note === undefined ? [] : [`  ${note}`]),
    ...(expects.length === 0 ? [] : [`  ${expects.length} published figures to compare with`]),
  ];
}

/** The plan for other programs: like plan.json, with the details of a stage beside the rest. */
function planJson(plan: Plan, details: PlanDetails): object {
  const stages = plan.stages.map((stage) => ({
    ...stage,
    ...stage.hardware,
    ...details[stage.id],
  }));
  return { ...plan, stages };
}
