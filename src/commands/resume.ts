/** @file `dllm resume <run>` runs the recipe that a run was made from again, as it is now. */
import { existsSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { DllmError, ExitCode } from "../base/errors.js";
import type { Invocation, Plan } from "../plan/plan.js";
import { findRun } from "../report/run-data.js";
import { readPlan } from "../run/read-plan.js";
import { commandLine } from "./command-line.js";
import type { ResumeCommand } from "./command.js";
import { loadWithOptions, type RecipePlan } from "./recipe-plan.js";
import { runRecipe, showPlan } from "./run.js";

export const run: ResumeCommand = async ([name], { runs, ...options }, io) => {
  const directory = findRun(name, runs);
  const recorded = readPlan(directory);
  const { recipe, set, profiles } = invocationOf(recorded);
  const layers = { set: [...set], profile: [...profiles] };
  // A run given by its path is resumed where it is.
  const root = existsSync(join(runs, name, "plan.json")) ? runs : dirname(resolve(directory));
  if (options.dryRun) {
    const shown = { ...options, ...layers, runs: root, frozen: false };
    return showPlan([recipe, []], shown, io);
  }
  const loaded = await loadWithOptions(recipe, [], layers);
  return runRecipe(loaded, { runs: root, ...options }, io, (planned) => {
    if (planned.plan.name !== recorded.name) {
      throw new DllmError(`${recipe} is now the recipe of another run: ${planned.plan.name}`, {
        exitCode: ExitCode.invalidInput,
        details: [
          `start that one with: ${commandLine(["run", recipe], { set, profiles, runs: root })}`,
        ],
      });
    }
    for (const line of changeLines(recorded, planned)) io.err(line);
  });
};

/**
 * Returns the recipe and overrides that a plan was made from.
 * @throws DllmError 66 when the recipe is no longer there
 */
export function invocationOf(plan: Plan): Invocation {
  const invocation = plan.invocation ?? { recipe: resolve(plan.recipe), set: [], profiles: [] };
  if (existsSync(invocation.recipe)) return invocation;
  throw new DllmError(`the recipe of run ${plan.name} is gone: ${invocation.recipe}`, {
    exitCode: ExitCode.notFound,
    details: ["if it was moved: dllm run <its new place>; what is finished is reused"],
  });
}

/** What is computed anew because the recipe, its data or the code is not what it was. */
function changeLines(recorded: Plan, { plan }: RecipePlan): string[] {
  const before = new Map(recorded.stages.map(({ id, fingerprint }) => [id, fingerprint]));
  const changed = plan.stages.filter(({ id, fingerprint }) => before.get(id) !== fingerprint);
  if (changed.length === 0) return [];
  const anew = changed.filter(({ action }) => action !== "reuse");
  const kept = changed.length - anew.length;
  return [
    `changed since the run was started: ${changed.length} of ${plan.stages.length} stages`,
    ...anew.map(({ id, action, reason }) => `  ${action}  ${id}  ${reason}`),
    ...(kept > 0 ? [`  ${kept} of them finished before, reused`] : []),
  ];
}
