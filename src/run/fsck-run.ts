/** @file Checks a run's own directory: plan, recipe, journal, and the links to its stages. */
import { existsSync, lstatSync, readdirSync, readlinkSync } from "node:fs";
import { join, relative } from "node:path";
import { errorMessage } from "../base/errors.js";
import { linkAtomic, readJson, removePath } from "../base/fs.js";
import { cutTornLine, readJsonLines, tornTail } from "../base/json-lines.js";
import type { Plan } from "../plan/plan.js";
import type { StampedEvent } from "../report/events.js";
import type { Problem } from "./fsck.js";
import { readPlan } from "./read-plan.js";
import { runPaths, type RunPaths } from "./run-paths.js";
import type { Store } from "./store.js";

export interface RunCheck {
  problems: Problem[];
  /** Of the plan; empty when it cannot be read. */
  fingerprints: string[];
}

/** Checks one run; `isLive` when an executor works on it. */
export function checkRun(
  directory: string,
  { store, isLive }: { store: Store; isLive: boolean },
): RunCheck {
  const paths = runPaths(directory, ".");
  let plan: Plan;
  try {
    plan = readPlan(directory);
  } catch (error) {
    return { problems: [{ path: paths.plan, problem: errorMessage(error) }], fingerprints: [] };
  }
  const problems = [
    ...checkRecipe(paths),
    ...checkLinks(paths, plan, store),
    ...checkJournal(paths, { plan, store, isLive }),
  ];
  return { problems, fingerprints: plan.stages.map(({ fingerprint }) => fingerprint) };
}

function checkRecipe({ recipe }: RunPaths): Problem[] {
  try {
    readJson(recipe);
    return [];
  } catch (error) {
    return [{ path: recipe, problem: errorMessage(error) }];
  }
}

function checkLinks(paths: RunPaths, plan: Plan, store: Store): Problem[] {
  const problems: Problem[] = [];
  const ids = new Set(plan.stages.map(({ id }) => id));
  for (const name of existsSync(paths.stages) ? readdirSync(paths.stages) : []) {
    if (ids.has(name) || name.startsWith(".")) continue;
    const path = join(paths.stages, name);
    const repair = { what: "remove the link", apply: () => removePath(path) };
    const isLink = lstatSync(path).isSymbolicLink();
    problems.push({
      path,
      problem: "is no stage of the plan",
      // Only a link is surely nothing but a name.
      ...(isLink ? { repair } : {}),
    });
  }
  for (const { id, fingerprint } of plan.stages) {
    const path = join(paths.stages, id);
    const target = relative(paths.stages, store.directory(fingerprint));
    const found = linkTarget(path);
    if (found === target && existsSync(path)) continue;
    const problem =
      found === target
        ? `its directory in the store is gone: ${target}`
        : `links to ${found ?? "nothing"}, expected ${target}`;
    const repair = { what: "link it anew", apply: () => linkAtomic(path, target) };
    problems.push({ path, problem, ...(found === target ? {} : { repair }) });
  }
  return problems;
}

function linkTarget(path: string): string | undefined {
  try {
    return readlinkSync(path);
  } catch {
    return undefined;
  }
}

interface JournalWorld {
  plan: Plan;
  store: Store;
  isLive: boolean;
}

function checkJournal(paths: RunPaths, { plan, store, isLive }: JournalWorld): Problem[] {
  const path = paths.journal;
  if (!existsSync(path)) return [];
  const problems: Problem[] = [];
  const torn = isLive ? 0 : tornTail(path);
  if (torn > 0) {
    problems.push({
      path,
      problem: `its last line is torn (${torn} bytes): the next run cuts it off`,
      repair: {
        what: "move it to journal.torn",
        apply: () => Promise.resolve(cutTornLine(path, paths.tornJournal)),
      },
    });
  }
  const { records, badLines } = readJsonLines<StampedEvent>(path);
  if (badLines > 0) problems.push({ path, problem: `${badLines} lines are no events` });
  for (const problem of [...disorder(records), ...unkeptPromises(records, plan, store)]) {
    problems.push({ path, problem });
  }
  return problems;
}

/** Executions follow one another, each with ascending time and only stages of its own. */
function disorder(events: readonly StampedEvent[]): string[] {
  const problems: string[] = [];
  let stages: ReadonlySet<string> | undefined;
  let elapsed = 0;
  for (const [index, event] of events.entries()) {
    const at = `event ${index + 1} (${String(event.event)})`;
    if (typeof event.event !== "string" || !Number.isFinite(event.elapsed_s)) {
      problems.push(`${at} has no name or no time`);
      continue;
    }
    if (event.event === "run-started") {
      stages = new Set(event.stages.map(({ id }) => id));
      elapsed = 0;
    }
    if (stages === undefined) problems.push(`${at} belongs to no execution`);
    if (event.elapsed_s < elapsed) {
      problems.push(`${at} is at ${event.elapsed_s} s, after one at ${elapsed} s`);
    }
    elapsed = event.elapsed_s;
    if ("stage" in event && typeof event.stage === "string" && stages?.has(event.stage) === false) {
      problems.push(`${at} is of stage ${event.stage}, which the execution does not have`);
    }
    if (event.event === "run-finished") stages = undefined;
  }
  return problems;
}

/** What was acknowledged as finished is there, unless it was found damaged later. */
function unkeptPromises(events: readonly StampedEvent[], plan: Plan, store: Store): string[] {
  const promised = new Map<string, string>();
  for (const event of events) {
    if (event.event === "stage-finished") promised.set(event.stage, event.artifact);
    if (event.event === "stage-started" || event.event === "quarantined") {
      promised.delete(event.stage);
    }
    // Another plan: its stages may be others of the same name.
    if (event.event === "run-started") {
      for (const { id, fingerprint } of event.stages) {
        const planned = plan.stages.find((stage) => stage.id === id);
        if (planned?.fingerprint !== fingerprint) promised.delete(id);
      }
    }
  }
  return plan.stages.flatMap(({ id, fingerprint }) => {
    const artifact = promised.get(id);
    if (artifact === undefined) return [];
    const found = store.finished(fingerprint)?.artifact;
    return found === artifact
      ? []
      : [`stage ${id} was finished with artifact ${artifact}, found ${found ?? "none"}`];
  });
}
