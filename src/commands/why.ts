/**
 * @file `dllm why <run or recipe> <stage>` says what made a stage run, or would make it run: what
 * differs from the run before, field by field, with its place in the recipe. Writes nothing.
 */
import { existsSync, statSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { DllmError, ExitCode } from "../base/errors.js";
import { sanitize } from "../base/sanitize.js";
import { describeChanges } from "../plan/changes.js";
import { recipeStages } from "../plan/identify.js";
import type { Plan } from "../plan/plan.js";

import { findRun } from "../report/run-data.js";
import { readJournal } from "../run/journal.js";
import { readPlan } from "../run/read-plan.js";
import { runPaths } from "../run/run-paths.js";
import { openStore } from "../run/store.js";
import {
  explainStage,
  explanationLines,
  versionsOfExecution,
  versionsOfPlan,
  type Comparison,
  type Execution,
} from "../run/why.js";
import type { CommandIo, WhyCommand } from "./command.js";
import { loadWithOptions, makePlan, type RecipePlan } from "./recipe-plan.js";
import { invocationOf } from "./resume.js";

/** What is compared with what, in words. */
interface Question {
  plan: Plan;
  before: { what: string; versions: Comparison["before"] } | undefined;
  planned: RecipePlan | undefined;
}

export const run: WhyCommand = async ([target, stage], options, io) => {
  const { runs, json } = options;
  const isRecipe = statSync(target, { throwIfNoEntry: false })?.isFile() === true;
  const question = isRecipe
    ? aboutNextRun(await makePlan(await loadWithOptions(target, [], options), { runs }))
    : await aboutRun(findRun(target, runs), stage, io);
  const { plan, before } = question;
  const found = plan.stages.find(({ id }) => id === stage);
  if (!found) {
    throw new DllmError(`no stage "${stage}" in ${plan.name}`, {
      exitCode: ExitCode.notFound,
      details: [`it has: ${plan.stages.map(({ id }) => id).join(", ")}`],
    });
  }
  const explanation =
    before &&
    explainStage(stage, { before: before.versions, after: plan, describe: describer(question) });
  const { action, reason } = found;
  if (json) {
    const compared = before?.what ?? null;
    io.out(JSON.stringify({ stage, action, reason, compared, ...explanation }, null, 2));
    return ExitCode.ok;
  }
  io.out(sanitize(`${stage}: ${action}, ${reason}`));
  io.out(before ? `compared with ${before.what}:` : "there is no run before it to compare with");
  for (const line of explanation ? explanationLines(explanation) : [])
    io.out(sanitize(`  ${line}`));
  return ExitCode.ok;
};

function aboutNextRun(planned: RecipePlan): Question {
  const { plan, previous } = planned;
  const before = previous && { what: "the run so far", versions: versionsOfPlan(previous) };
  return { plan, before, planned };
}

/**
 * Where the recipe has changed since: what a run would do now. Else what the newest execution did,
 * compared with the one before it.
 */
async function aboutRun(directory: string, stage: string, io: CommandIo): Promise<Question> {
  const recorded = readPlan(directory);
  const root = dirname(resolve(directory));
  const planned = await planAgain(recorded, root, io);
  const fingerprintIn = (plan: Plan | undefined) =>
    plan?.stages.find(({ id }) => id === stage)?.fingerprint;
  if (planned && fingerprintIn(planned.plan) !== fingerprintIn(recorded)) {
    const before = { what: "the run so far", versions: versionsOfPlan(recorded) };
    return { plan: planned.plan, before, planned };
  }
  const { records } = readJournal(runPaths(directory, "."));
  const executions = records.filter((each): each is Execution => each.event === "run-started");
  const earlier = executions.at(-2);
  const before = earlier && {
    what: `the run of ${earlier.time}`,
    versions: versionsOfExecution(earlier, openStore(root)),
  };
  return { plan: recorded, before, planned };
}

/** The plan as it would be made now; without it there are no positions in the recipe. */
async function planAgain(
  recorded: Plan,
  root: string,
  io: CommandIo,
): Promise<RecipePlan | undefined> {
  try {
    const { recipe, set, profiles } = invocationOf(recorded);
    if (!existsSync(join(root, recorded.name))) return undefined;
    const loaded = await loadWithOptions(recipe, [], { set: [...set], profile: [...profiles] });
    return await makePlan(loaded, { runs: root });
  } catch (error) {
    if (!(error instanceof DllmError)) throw error;
    io.err(`warning: its recipe cannot be read, positions are missing: ${sanitize(error.message)}`);
    return undefined;
  }
}

function describer({ planned }: Question): Comparison["describe"] {
  const stages = planned ? recipeStages(planned.loaded, planned.pinned) : [];
  return (id, before, params) => {
    // A trial's stage has the origins of the recipe's stage that it is a variant of.
    const variant = id.replace(/\..*$/, "");
    const known = stages.find((stage) => stage.id === id || stage.id === variant);
    return describeChanges(
      before,
      { params, origins: known?.origins ?? {} },
      known && planned?.loaded,
    );
  };
}
