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
} from "./fields.js";

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
      "log_uniform_values",
      "q_log_uniform_values",
      "inv_log_uniform_values",
      "normal",
      "q_normal",
      "log_normal",
    ]),
  ),
  min: optional(number("Smallest value.")),
  max: optional(number("Largest value.")),
  mu: optional(number("Mean of a (log-)normal distribution.")),
  sigma: optional(number("Standard deviation of a (log-)normal distribution.", { minimum: 0 })),
  q: optional(number("Step to which drawn values are rounded.", { exclusiveMinimum: 0 })),
};

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
  parameters: record(
    "Recipe keys (`sft.learning_rate`) and the values that trials give them.",
    {
      pattern: "^[A-Za-z_][A-Za-z0-9_-]*(\\.[A-Za-z0-9_-]+)*$",
      patternHint: "a recipe key such as sft.learning_rate",
    },
    map("The values of one key.", parameterFields),
  ),
  run_cap: optional(integer("Most trials; a random sweep needs it.", { minimum: 1 })),
  seed: withDefault(
    0,
    integer("Seed of random draws.", { minimum: 0, maximum: Number.MAX_SAFE_INTEGER }),
  ),
  early_terminate: optional(map("Stop bad trials early.", earlyTerminateFields)),
};
