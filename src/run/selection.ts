/** @file Which stages of a plan `--until` and `--from` mean. */
import { DllmError, ExitCode } from "../base/errors.js";
import { alternatives, nearest } from "../recipe/issues.js";
import type { Plan } from "../plan/plan.js";

export interface SelectionOptions {
  /** Run these stages and what they need, nothing else. */
  until?: readonly string[];
  /** Run these stages anew, and what depends on them; everything before must be finished. */
  from?: readonly string[];
}

export interface Selection {
  /** Ids of the stages to bring up to date. */
  selected: ReadonlySet<string>;
  /** Those of them that run anew although they are finished. */
  anew: ReadonlySet<string>;
}

/**
 * Returns the selected stages. In a sweep a name may also be a stage's id within the trials: it
 * then means that stage of every trial.
 * @throws DllmError 2 for a name that is no stage
 */
export function selectStages(plan: Plan, { until = [], from = [] }: SelectionOptions): Selection {
  const needs = new Map(plan.stages.map((stage) => [stage.id, stage.needs]));
  const followers = new Map<string, string[]>(plan.stages.map(({ id }) => [id, []]));
  for (const { id, needs: inputs } of plan.stages) {
    for (const input of inputs) followers.get(input)?.push(id);
  }
  const names = stageNames(plan);
  const resolve = (option: string, words: readonly string[]) =>
    words.flatMap((word) => names.get(word) ?? unknownStage(option, word, [...names.keys()]));
  const starts = resolve("--from", from);
  const ends = resolve("--until", until);
  const before = ends.length > 0 ? reach(ends, needs) : undefined;
  const after = starts.length > 0 ? reach(starts, followers) : undefined;
  const selected = plan.stages
    .map(({ id }) => id)
    .filter((id) => (before?.has(id) ?? true) && (after?.has(id) ?? true));
  return { selected: new Set(selected), anew: new Set(after ? selected : []) };
}

/** Every name that a stage can be called by, with the plan ids that it means. */
function stageNames({ stages, sweep }: Plan): Map<string, string[]> {
  const names = new Map<string, Set<string>>();
  for (const trial of sweep?.trials ?? []) {
    for (const [local, id] of Object.entries(trial.stages)) {
      names.set(local, (names.get(local) ?? new Set()).add(id));
    }
  }
  for (const { id } of stages) names.set(id, new Set([id]));
  return new Map([...names].map(([name, ids]) => [name, [...ids]]));
}

function reach(
  starts: readonly string[],
  next: ReadonlyMap<string, readonly string[]>,
): ReadonlySet<string> {
  const reached = new Set(starts);
  for (const id of reached) for (const each of next.get(id) ?? []) reached.add(each);
  return reached;
}

function unknownStage(option: string, word: string, names: readonly string[]): never {
  const suggestion = nearest(word, names);
  throw new DllmError(`${option} ${word}: there is no such stage`, {
    exitCode: ExitCode.usage,
    details: [
      names.length <= 30 ? `stages: ${alternatives(names)}` : "dllm plan lists the stages",
      ...(suggestion === undefined ? [] : [`did you mean "${suggestion}"?`]),
    ],
  });
}
