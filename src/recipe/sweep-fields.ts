/**
 * @file The `sweep` section: W&B's sweep configuration as it is, without what starts an agent.
 * Source: docs.wandb.ai, "Sweep configuration options".
 */
import {
  anything,
  choice,
  integer,
  list,
  map,
  number,
  optional,
  record,
  text,
  withDefault,
  type Resolved,
} from "./fields.js";

/** More is no experiment, but a mistake in a range. */
export const TRIAL_LIMIT = 100_000;

/** Keys of a W&B sweep that its agent needs, and that mean nothing where there is none. */
export const agentKeys: ReadonlySet<string> = new Set([
  "program",
  "command",
  "entity",
  "project",
  "name",
  "description",
  "controller",
]);

const parameterFields = {
  value: optional(anything("The one value.")),
  values: optional(list("The values to choose from.", anything("A value."))),
  probabilities: optional(
    list("Probability of each of `values`.", number("A probability.", { minimum: 0 })),
  ),
  distribution: optional(
    choice("How a random sweep draws the value.", [
      "constant",
      "categorical",
      "int_uniform",
      "uniform",
      "q_uniform",
      "log_uniform",
      "log_uniform_values",
      "q_log_uniform",
      "q_log_uniform_values",
      "inv_log_uniform",
      "inv_log_uniform_values",
      "normal",
      "q_normal",
      "log_normal",
      "q_log_normal",
    ]),
  ),
  min: optional(number("Smallest value; of log_uniform without _values, its logarithm.")),
  max: optional(number("Largest value; of log_uniform without _values, its logarithm.")),
  mu: optional(number("Mean of a (log-)normal distribution.")),
  sigma: optional(number("Standard deviation of a (log-)normal distribution.", { minimum: 0 })),
  q: optional(number("Step to which drawn values are rounded.", { exclusiveMinimum: 0 })),
};

const parameterKey = {
  pattern: "^[A-Za-z_][A-Za-z0-9_-]*(\\.[A-Za-z0-9_-]+)*$",
  patternHint: "a recipe key such as sft.learning_rate",
};

const parametersOf = <F extends typeof parameterFields>(doc: string, fields: F) =>
  record(doc, parameterKey, map("The values of one key.", fields));

/** Keys have so many parts, the last aside: eval.benchmarks.mmlu.num_fewshot. */
const NESTING_LIMIT = 3;

/** A parameter may be one of W&B's nested ones: sweep-nesting.ts makes one key of all. */
function nestedFields(levels: number): typeof parameterFields {
  if (levels === 0) return parameterFields;
  const doc = "Instead of values: the parameters within this section of the recipe.";
  const parameters = optional(parametersOf(doc, nestedFields(levels - 1)));
  return { ...parameterFields, parameters } as typeof parameterFields;
}

export type SweepParameter = Resolved<typeof parameterFields>;

/** Returns the named distribution of a parameter, or the one that its keys imply, if any does. */
export function distributionOf({ distribution, value, values, min, max, mu }: SweepParameter) {
  if (distribution !== undefined) return distribution;
  if (value !== undefined) return "constant";
  if (values !== undefined) return "categorical";
  if (min !== undefined && max !== undefined) {
    return Number.isInteger(min) && Number.isInteger(max) ? "int_uniform" : "uniform";
  }
  return mu === undefined ? undefined : "normal";
}

const earlyTerminateFields = {
  type: choice("How bad trials are stopped early.", ["hyperband"]),
  min_iter: optional(integer("Logged values of the metric before the first rung.", { minimum: 1 })),
  max_iter: optional(integer("Logged values of the metric at the last rung.", { minimum: 1 })),
  s: optional(integer("Number of rungs below max_iter.", { minimum: 1 })),
  eta: withDefault(3, number("Of the trials at a rung, 1/eta go on.", { exclusiveMinimum: 1 })),
};

export const sweepFields = {
  method: choice("Every combination of values, or random draws.", ["grid", "random"]),
  metric: optional(
    map("What the sweep looks for.", {
      name: text("A figure that a stage logs or returns, such as eval_loss."),
      goal: withDefault("minimize", choice("Which way is better.", ["minimize", "maximize"])),
    }),
  ),
  parameters: parametersOf(
    "Recipe keys (`sft.learning_rate`) and the values that trials give them.",
    nestedFields(NESTING_LIMIT),
  ),
  run_cap: optional(
    integer("Most trials; a random sweep needs it.", { minimum: 1, maximum: TRIAL_LIMIT }),
  ),
  seed: withDefault(
    0,
    integer("Seed of random draws.", { minimum: 0, maximum: Number.MAX_SAFE_INTEGER }),
  ),
  early_terminate: optional(map("Stop bad trials early.", earlyTerminateFields)),
};
