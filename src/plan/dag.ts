/** @file The graph of stages: an order in which they can run, and what is wrong with it. */
import { DllmError, ExitCode } from "../base/errors.js";
import type { StageSpec } from "./stage.js";

/**
 * Returns the stages in an order in which each comes after its inputs; otherwise in the order
 * given.
 * @throws DllmError 65 for a repeated id, an input that no stage makes, or a cycle
 */
export function topologicalOrder<Stage extends Pick<StageSpec, "id" | "inputs">>(
  stages: readonly Stage[],
): Stage[] {
  const byId = new Map<string, Stage>();
  let isOrdered = true;
  for (const stage of stages) {
    if (byId.has(stage.id)) throw invalid(`stage ${stage.id} is there twice`);
    for (const name in stage.inputs) isOrdered &&= byId.has(stage.inputs[name]!);
    byId.set(stage.id, stage);
  }
  if (isOrdered) return [...stages];
  const ordered = new Set<Stage>();
  // An explicit stack: a hostile chain of stages must not exhaust the call stack.
  for (const start of stages) {
    const path: { stage: Stage; rest: string[] }[] = [];
    const onPath = new Set<string>();
    const enter = (stage: Stage) => {
      path.push({ stage, rest: neededIds(stage) });
      onPath.add(stage.id);
    };
    if (!ordered.has(start)) enter(start);
    for (let top = path.at(-1); top !== undefined; top = path.at(-1)) {
      const { stage, rest } = top;
      const id = rest.shift();
      if (id === undefined) {
        ordered.add(stage);
        onPath.delete(stage.id);
        path.pop();
        continue;
      }
      const input = byId.get(id);
      if (input === undefined) {
        const name = Object.entries(stage.inputs).find(([, made]) => made === id)![0];
        throw invalid(`stage ${stage.id} has no input ${name}: there is no stage ${id}`, [
          `stages: ${[...byId.keys()].join(", ")}`,
        ]);
      }
      if (onPath.has(id)) {
        const ids = path.map((step) => step.stage.id);
        const cycle = [...ids.slice(ids.indexOf(id)), id];
        throw invalid(`stages need each other in a circle: ${cycle.join(" -> ")}`);
      }
      if (!ordered.has(input)) enter(input);
    }
  }
  return [...ordered];
}

/** Returns the ids of a stage's inputs without repeats. */
export function neededIds({ inputs }: Pick<StageSpec, "inputs">): string[] {
  return [...new Set(Object.values(inputs))];
}

function invalid(message: string, details: readonly string[] = []): DllmError {
  return new DllmError(message, { exitCode: ExitCode.invalidInput, details });
}
