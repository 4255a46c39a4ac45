/**
 * @file A plan for the terminal: the graph as a tree in which stages come below what they need,
 * each once, with what is done with it, why, where and at what cost; then the commands, to copy.
 */
import { sanitize } from "../base/sanitize.js";
import { shellLines } from "../base/shell-text.js";
import type { StageAction } from "../plan/stage.js";
import { stageNotes } from "./plan-notes.js";
import {
  describeSweep,
  directNeeds,
  sharedStages,
  summarise,
  trialParameters,
  type PlanDetailsView,
  type PlanView,
  type StageView,
  type SweepView,
} from "./plan-view.js";

type Paint = (text: string) => string;

/** Those of picocolors' createColors. */
export interface TreeColors {
  bold: Paint;
  dim: Paint;
  green: Paint;
  yellow: Paint;
  red: Paint;
}

export interface TreeOptions {
  colors: TreeColors;
  details?: PlanDetailsView;
  /** Columns. */
  width?: number;
}

/** More would scroll the reasons away. */
const SHOWN_STAGES = 40;
const SHOWN_TRIALS = 20;
const ACTION_WIDTH = "resume".length;
const NARROWEST_REASON = 24;

/** Returns the plan as lines. */
export function planTree(plan: PlanView, options: TreeOptions): string[] {
  const { colors, details = {}, width = 80 } = options;
  const context: Context = { colors, details, width };
  const all = sharedStages(plan);
  const stages = all.slice(0, SHOWN_STAGES);
  const hidden = all.length - stages.length;
  const shared = new Set(all.map(({ id }) => id));
  const firstTrial = ownStages(plan, shared);
  const lines = [
    colors.bold(sanitize(`${plan.name} (${plan.recipe})`)),
    "",
    ...treeLines(stages, context),
    ...(hidden > 0 ? [colors.dim(`and ${hidden.toLocaleString("en-US")} more stages`)] : []),
    ...(plan.sweep
      ? ["", ...trialLines(plan.sweep, { ...context, shared, stages: plan.stages })]
      : []),
    // What the others take is as much; only their values differ.
    ...(firstTrial.some(({ id }) => id in details)
      ? ["", colors.dim("stages of the first trial"), ...treeLines(firstTrial, context)]
      : []),
    "",
    summarise(plan.stages),
  ];
  for (const stage of [...stages, ...firstTrial]) {
    const command = details[stage.id]?.command;
    if (command === undefined || stage.action === "reuse") continue;
    lines.push("", colors.dim(`command of ${sanitize(stage.id)}`));
    lines.push(...shellLines(command.argv.map(sanitize), width));
  }
  return lines;
}

interface Context {
  colors: TreeColors;
  details: PlanDetailsView;
  width: number;
}

interface Row {
  /** Guides and id. */
  label: string;
  /** Guides of the lines below it. */
  below: string;
  stage: StageView;
  /** A stage that stands elsewhere. */
  isReference: boolean;
}

function treeLines(stages: readonly StageView[], context: Context): string[] {
  const rows = arrange(stages);
  const labelWidth = Math.max(0, ...rows.map(({ label }) => label.length));
  const shown = new Set<string>();
  return rows.flatMap((row) => {
    if (row.isReference) {
      const where = shown.has(row.stage.id) ? "above" : "below";
      return [context.colors.dim(`${row.label} (${where})`)];
    }
    shown.add(row.stage.id);
    return stageLines(row, labelWidth, context);
  });
}

/** Returns the rows of the tree: a stage stands below the last stage that it needs. */
function arrange(stages: readonly StageView[]): Row[] {
  const needs = directNeeds(stages);
  const byId = new Map(stages.map((stage) => [stage.id, stage]));
  const children = new Map<string, string[]>();
  for (const [id, direct] of needs) {
    for (const need of direct) children.set(need, [...(children.get(need) ?? []), id]);
  }
  const position = new Map(stages.map(({ id }, index) => [id, index]));
  const standsBelow = (child: string, parent: string) => needs.get(child)!.at(-1) === parent;
  // What leads furthest comes last, so that stages tend to come after all that they need.
  const reach = new Map<string, number>();
  for (const { id } of [...stages].reverse()) {
    const below = (children.get(id) ?? []).filter((child) => standsBelow(child, id));
    reach.set(id, Math.max(position.get(id)!, ...below.map((child) => reach.get(child)!)));
  }
  const rows: Row[] = [];
  const inOrder = (ids: readonly string[]) =>
    [...ids].sort((a, b) => reach.get(a)! - reach.get(b)!);
  const visit = (id: string, parent: string | undefined, guides: string, isLast: boolean): void => {
    const branch = parent === undefined ? "" : isLast ? "└─ " : "├─ ";
    const beyond = guides + (parent === undefined ? "" : isLast ? "   " : "│  ");
    const isReference = parent !== undefined && !standsBelow(id, parent);
    const next = isReference ? [] : inOrder(children.get(id) ?? []);
    rows.push({
      label: sanitize(guides + branch + id),
      below: beyond + (next.length > 0 ? "│  " : "   "),
      stage: byId.get(id)!,
      isReference,
    });
    next.forEach((child, index) => visit(child, id, beyond, index === next.length - 1));
  };
  const roots = stages.filter(({ id }) => needs.get(id)!.length === 0).map(({ id }) => id);
  for (const root of inOrder(roots)) visit(root, undefined, "", true);
  return rows;
}

function stageLines(row: Row, labelWidth: number, { colors, details, width }: Context): string[] {
  const { stage, label, below } = row;
  const paint = actionPaint(stage.action, colors);
  const guides = label.slice(0, label.length - sanitize(stage.id).length);
  const left = labelWidth + 2 + ACTION_WIDTH + 2;
  const [reason = "", ...more] = wrap(
    sanitize(stage.reason),
    Math.max(NARROWEST_REASON, width - left),
  );
  const id = paint(colors.bold(label.slice(guides.length)));
  const gap = " ".repeat(labelWidth - label.length + 2);
  const head = `${colors.dim(guides)}${id}${gap}${paint(stage.action.padEnd(ACTION_WIDTH))}  ${reason}`;
  const continued = more.map((line) => colors.dim(below.padEnd(left)) + line);
  const blocked = stage.blocked ?? details[stage.id]?.blocked;
  const notes = stageNotes(stage, details[stage.id]).map((text) => ({ text, color: colors.dim }));
  if (blocked !== undefined && stage.action !== "reuse") {
    notes.unshift({ text: `cannot run here: ${blocked}`, color: colors.red });
  }
  const noteLines = notes.flatMap(({ text, color }) =>
    wrap(sanitize(text), Math.max(NARROWEST_REASON, width - below.length - 2)).map(
      (line, index) => `${colors.dim(below)}${index === 0 ? "" : "  "}${color(line)}`,
    ),
  );
  return [head.trimEnd(), ...continued, ...noteLines];
}

function actionPaint(action: StageAction, colors: TreeColors): Paint {
  return { reuse: colors.dim, resume: colors.yellow, run: colors.green }[action];
}

/** The stages of the first trial that no other trial has. */
function ownStages({ stages, sweep }: PlanView, shared: ReadonlySet<string>): StageView[] {
  const [trial] = sweep?.trials ?? [];
  const own = new Set(Object.values(trial?.stages ?? {}).filter((id) => !shared.has(id)));
  return own.size === 0 ? [] : stages.filter(({ id }) => own.has(id));
}

interface TrialContext extends Pick<Context, "colors" | "width"> {
  stages: readonly StageView[];
  /** Ids of stages that are not of a single trial. */
  shared: ReadonlySet<string>;
}

function trialLines(sweep: SweepView, { colors, width, stages, shared }: TrialContext): string[] {
  const byId = new Map(stages.map((stage) => [stage.id, stage]));
  const shown = sweep.trials.slice(0, SHOWN_TRIALS);
  const parameters = shown.map((trial) => oneLine(trialParameters(trial)));
  const columns = [shown.map(({ id }) => sanitize(id)), parameters].map((texts) =>
    Math.min(Math.floor(width / 2), Math.max(...texts.map((text) => text.length))),
  );
  const lines = shown.map((trial, index) => {
    const own = Object.entries(trial.stages).filter(([, id]) => !shared.has(id));
    const actions = (["run", "resume", "reuse"] as const).flatMap((action) => {
      const ids = own.filter(([, id]) => byId.get(id)?.action === action).map(([local]) => local);
      return ids.length === 0 ? [] : [`${action} ${ids.join(", ")}`];
    });
    const cells = [sanitize(trial.id).padEnd(columns[0]!), parameters[index]!.padEnd(columns[1]!)];
    const text = cut([...cells, sanitize(actions.join("; "))].join("  "), width - 2);
    const isDone = own.every(([, id]) => byId.get(id)?.action === "reuse");
    return `  ${isDone ? colors.dim(text) : text}`;
  });
  const hidden = sweep.trials.length - shown.length;
  return [
    ...wrap(sanitize(describeSweep(sweep)), width).map(colors.bold),
    ...lines,
    ...(hidden > 0 ? [colors.dim(`  and ${hidden.toLocaleString("en-US")} more trials`)] : []),
  ];
}

function oneLine(text: string): string {
  return sanitize(text).replace(/\s+/g, " ");
}

function cut(text: string, width: number): string {
  const trimmed = text.trimEnd();
  return trimmed.length <= width ? trimmed : `${trimmed.slice(0, width - 1)}…`;
}

/** Lines of at most `width` columns; a longer word has one for itself. */
function wrap(text: string, width: number): string[] {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(/\s+/)) {
    if (line !== "" && line.length + 1 + word.length > width) {
      lines.push(line);
      line = word;
    } else {
      line = line === "" ? word : `${line} ${word}`;
    }
  }
  return [...lines, line];
}
