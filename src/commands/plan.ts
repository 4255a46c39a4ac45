/** @file `dllm plan <recipe>` shows which stages would run and why. Writes nothing. */
import pc from "picocolors";
import { ExitCode } from "../base/errors.js";
import type { Plan } from "../plan/plan.js";
import type { PlannedStage, StageAction } from "../plan/stage.js";
import type { CommandIo, PlanCommand } from "./command.js";
import { loadWithOptions, makePlan } from "./recipe-plan.js";

export const run: PlanCommand = async ([recipe, overrides], options, io) => {
  const { runs, json } = options;
  const loaded = await loadWithOptions(recipe, overrides, options);
  const { plan, store } = await makePlan(loaded, runs);
  for (const { problem } of store.problems) io.err(`warning: ${problem}`);
  if (json) {
    io.out(JSON.stringify(planJson(plan), null, 2));
  } else {
    for (const line of planLines(plan, io)) io.out(line);
  }
  return ExitCode.ok;
};

/** The plan for other programs: like plan.json, with engine and launcher at the top of a stage. */
function planJson(plan: Plan): object {
  const stages = plan.stages.map(({ hardware, ...stage }) => ({ ...stage, ...hardware }));
  return { ...plan, stages };
}

const FINGERPRINT_DIGITS = 12;

/** Returns the plan as a table and a summary. */
export function planLines(plan: Plan, io: Pick<CommandIo, "isTty">): string[] {
  const colors = pc.createColors(io.isTty && process.env["NO_COLOR"] === undefined);
  const color: Record<StageAction, (text: string) => string> = {
    reuse: colors.dim,
    resume: colors.yellow,
    run: colors.green,
  };
  const header = ["stage", "action", "reason", "fingerprint", "needs"];
  const rows = plan.stages.map(({ id, action, reason, fingerprint, needs }) => [
    id,
    action,
    reason,
    fingerprint.slice(0, FINGERPRINT_DIGITS),
    needs.join(", ") || "-",
  ]);
  const widths = header.map((title, column) =>
    Math.max(title.length, ...rows.map((row) => row[column]!.length)),
  );
  const line = (cells: readonly string[]) =>
    cells
      .map((cell, column) => cell.padEnd(widths[column]!))
      .join("  ")
      .trimEnd();
  return [
    colors.bold(`${plan.name} (${plan.recipe})`),
    "",
    colors.dim(line(header)),
    ...rows.map((row, index) => color[plan.stages[index]!.action](line(row))),
    "",
    summary(plan.stages),
  ];
}

function summary(stages: readonly PlannedStage[]): string {
  const count = (action: StageAction) => stages.filter((stage) => stage.action === action).length;
  const pending = count("run") + count("resume");
  if (pending === 0) return `nothing to do: all ${stages.length} stages are finished`;
  const resumed = count("resume") > 0 ? ` (${count("resume")} from a checkpoint)` : "";
  return `${pending} of ${stages.length} stages to run${resumed}, ${count("reuse")} reused`;
}
