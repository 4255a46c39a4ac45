/**
 * @file Executes a plan: locks the run, reuses what verifies, runs the rest on slots of the
 * machine, each stage in its own process, and tells an event sink what happens. Knows stages only
 * as specifications, working directories and results.
 */
import { availableParallelism } from "node:os";
import { makeDirectory, writeFileAtomic, writeJson } from "../base/fs.js";
import { canonicalJson } from "../base/json.js";
import { acquireLock } from "../base/lock.js";
import { removeLeftovers } from "../base/quarantine.js";
import { makeCommand } from "../base/shell-text.js";
import type { RunEvent } from "../report/events.js";
import {
  DEFAULTS,
  systemClock,
  type ExecutePlanInputs,
  type RunOutcome,
  type SettledInputs,
} from "./execution.js";
import { openJournal } from "./journal.js";
import { linkStages } from "./links.js";
import { runPaths } from "./run-paths.js";
import { combineRequests } from "./run-requests.js";
import { runStages } from "./run-stages.js";
import { selectStages } from "./selection.js";

/**
 * Runs a plan to its end, its first failure, or a stop.
 * @throws DllmError 2 for stages that do not exist, 66 when `from` builds on what is not finished,
 * 73/74/77 when the run's directory cannot be written, 75 when it is in use
 */
export async function executePlan(given: ExecutePlanInputs): Promise<RunOutcome> {
  const inputs: SettledInputs = {
    ...DEFAULTS,
    cores: availableParallelism(),
    environment: process.env,
    ...given,
  };
  const { plan, runsRoot, store, clock = systemClock } = inputs;
  const selection = selectStages(plan, inputs);
  const paths = runPaths(runsRoot, plan.name);
  await makeDirectory(paths.stages);
  const lock = await acquireLock(paths.lock, {
    what: paths.directory,
    stopWith: makeCommand(["dllm", "cancel", paths.directory]).text,
  });
  try {
    await removeLeftovers(paths.directory);
    await writeFileAtomic(paths.recipe, `${canonicalJson(inputs.recipe)}\n`);
    await store.refer(() => writeJson(paths.plan, plan), inputs.stop);
    await linkStages(plan, store, paths);
    store.noteVerified();
    const journal = openJournal(paths);
    const requests = combineRequests(inputs);
    const started = clock.now();
    const emit = (event: RunEvent): void => {
      const elapsed_s = Math.round(clock.now() - started) / 1000;
      const stamped = { time: clock.date().toISOString(), elapsed_s, ...event };
      try {
        journal.append(stamped);
      } catch (error) {
        // Events come from everywhere; the run ends in order, and with this error.
        requests.failWith(error);
      }
      inputs.emit(stamped);
    };
    try {
      const outcome = await runStages({ inputs, selection, paths, requests, emit });
      const exitCode = requests.timedOut() && outcome.status === "stopped" ? 124 : outcome.exitCode;
      const seconds = (clock.now() - started) / 1000;
      const { status, ran, reused, skipped, failures } = outcome;
      const failed = failures.map(({ stage }) => stage);
      emit({ event: "run-finished", status, exitCode, seconds, ran, reused, failed, skipped });
      requests.throwFailure();
      return { ...outcome, exitCode, directory: paths.directory };
    } finally {
      requests.end();
      journal.close();
    }
  } finally {
    await lock.release();
  }
}
