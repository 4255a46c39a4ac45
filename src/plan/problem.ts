/**
 * @file Why something that a recipe asks for cannot be done, said about the recipe key that asks
 * for it, so that the message can point to the line.
 */
export interface PlanProblem {
  /** Key path in the recipe: `hardware.nodes`, `sft.global_batch_size`. */
  keyPath: string;
  /** What was found and why it cannot be done, in one line. */
  message: string;
  /** What would do instead. */
  details: readonly string[];
}

/** A value, or all the reasons why there is none. */
export type Outcome<Value> =
  | { readonly ok: true; readonly value: Value }
  | { readonly ok: false; readonly problems: readonly PlanProblem[] };

export function success<Value>(value: Value): Outcome<Value> {
  return { ok: true, value };
}

/** @param problems at least one */
export function failure(...problems: readonly PlanProblem[]): Outcome<never> {
  return { ok: false, problems };
}
