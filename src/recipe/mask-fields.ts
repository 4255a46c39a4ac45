/** @file The keys of `mask`: the masked-diffusion objective. */
import { choice, number, withDefault } from "./fields.js";

export const maskFields = {
  schedule: withDefault(
    "linear",
    choice("Alpha schedule: probability that a token is unmasked at time t.", ["linear", "cosine"]),
  ),
  time_epsilon: withDefault(
    1e-3,
    number("Timesteps are drawn from [time_epsilon, 1).", {
      exclusiveMinimum: 0,
      exclusiveMaximum: 1,
    }),
  ),
  loss_weight_type: withDefault(
    "scheduler",
    choice("Weight of a masked token's loss: by the alpha schedule, or 1.", [
      "scheduler",
      "uniform",
    ]),
  ),
  loss_norm_type: withDefault(
    "token",
    choice("The loss is averaged over maskable tokens, per sequence, or per batch row.", [
      "token",
      "sequence",
      "batch",
    ]),
  ),
};
