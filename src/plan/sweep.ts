/**
 * @file The trials of a sweep: W&B's grid and random search. Source: docs.wandb.ai, "Sweep
 * configuration options"; distributions as defined there.
 */
import { createHash } from "node:crypto";
import { DllmError, ExitCode } from "../base/errors.js";
import { canonicalJson, type Json, type JsonObject } from "../base/json.js";
import { randomStream, type RandomStream } from "../base/random.js";
import type { SweepSettings } from "../recipe/schema.js";
import { distributionOf, TRIAL_LIMIT, type SweepParameter } from "../recipe/sweep-fields.js";
import type { EarlyTermination } from "./trials.js";

export interface Trial {
  /** Names the values: equal parameters have equal ids, in every run and whatever the order. */
  id: string;
  /** Recipe key path to value. */
  parameters: JsonObject;
}

/**
 * Returns the trials of a sweep in order. Random trial n does not depend on how many there are:
 * raising run_cap adds to those that are there.
 * @throws DllmError 65 for too many trials
 */
export function expandSweep(sweep: SweepSettings): Trial[] {
  const combinations = sweep.method === "grid" ? gridOf(sweep) : drawsOf(sweep);
  const trials = new Map<string, Trial>();
  for (const parameters of combinations) {
    const id = trialId(parameters);
    // Equal draws are one trial.
    if (!trials.has(id)) trials.set(id, { id, parameters });
  }
  return [...trials.values()];
}

function gridOf({ parameters, run_cap: cap = Infinity }: SweepSettings): JsonObject[] {
  const axes = Object.entries(parameters).map(
    ([key, parameter]) => [key, gridValues(key, parameter)] as const,
  );
  const total = axes.reduce((product, [, values]) => product * values.length, 1);
  if (Math.min(total, cap) > TRIAL_LIMIT) {
    const counts = axes.map(([key, values]) => `${key}: ${values.length}`).join(", ");
    throw invalid(`the sweep has ${total} trials, expected at most ${TRIAL_LIMIT}`, counts);
  }
  const combinations: JsonObject[] = [];
  for (let index = 0; index < Math.min(total, cap); index++) {
    const combination: Record<string, Json> = {};
    // The last parameter changes fastest.
    let rest = index;
    for (const [key, values] of [...axes].reverse()) {
      combination[key] = values[rest % values.length]!;
      rest = Math.floor(rest / values.length);
    }
    combinations.push(Object.fromEntries(axes.map(([key]) => [key, combination[key]!])));
  }
  return combinations;
}

function gridValues(key: string, parameter: SweepParameter): readonly Json[] {
  const { value, values, min, max, q = 1 } = parameter;
  const kind = distributionOf(parameter);
  switch (kind) {
    case "constant":
      return [value!];
    case "categorical":
      return values!;
    case "int_uniform":
    case "q_uniform": {
      const step = kind === "int_uniform" ? 1 : q;
      const count = Math.floor((max! - min!) / step + 1e-9) + 1;
      if (count > TRIAL_LIMIT) {
        throw invalid(`${key} has ${count} values, expected at most ${TRIAL_LIMIT} trials`);
      }
      const at = (index: number) => Number((min! + index * step).toPrecision(12));
      return Array.from({ length: count }, (_, index) => at(index));
    }
    default:
      throw new TypeError(`gridValues: ${key} is ${kind ?? "nothing"}`);
  }
}

function drawsOf({ parameters, run_cap: cap, seed }: SweepSettings): JsonObject[] {
  if (cap === undefined) throw new TypeError("drawsOf: a random sweep has no run_cap");
  const axes = Object.entries(parameters).map(([key, parameter]) => {
    return { key, stream: nameNumber(key), sample: samplerOf(key, parameter) };
  });
  return Array.from({ length: cap }, (_, trial) =>
    Object.fromEntries(
      axes.map(({ key, stream, sample }) => {
        // By name: another parameter beside it changes no draw of this one.
        const random = randomStream({ seed, purpose: "sweep", epoch: stream, sample: trial });
        return [key, sample(random)];
      }),
    ),
  );
}

/** A number of 24 bits for a name. */
function nameNumber(key: string): number {
  return createHash("sha256").update(key).digest().readUIntBE(0, 3);
}

/** Returns a function that draws a value of a parameter, which check-sweep.ts has accepted. */
function samplerOf(key: string, parameter: SweepParameter): (random: RandomStream) => Json {
  const { value, values, probabilities, min, max, mu = 0, sigma = 1, q = 1 } = parameter;
  const kind = distributionOf(parameter);
  const between = (low: number, high: number) => (random: RandomStream) =>
    low + (high - low) * random.uniform64();
  const normal = (random: RandomStream) => mu + sigma * random.normal();
  const rounded = (draw: (random: RandomStream) => number) => (random: RandomStream) =>
    Number((Math.round(draw(random) / q) * q).toPrecision(12));
  const exponential = (draw: (random: RandomStream) => number) => (random: RandomStream) =>
    Math.exp(draw(random));
  switch (kind) {
    case "constant":
      return () => value!;
    case "categorical": {
      const limits = cumulativeShares(values!, probabilities);
      return (random) => {
        const share = random.uniform64();
        return values![limits.findIndex((limit) => share < limit)]!;
      };
    }
    case "int_uniform":
      return (random) => min! + random.below(max! - min! + 1);
    case "uniform":
      return between(min!, max!);
    case "q_uniform":
      return rounded(between(min!, max!));
    case "log_uniform":
      return exponential(between(min!, max!));
    case "q_log_uniform":
      return rounded(exponential(between(min!, max!)));
    // log(1/x) is uniform.
    case "inv_log_uniform":
      return exponential(between(-max!, -min!));
    case "log_uniform_values":
    case "inv_log_uniform_values":
      return exponential(between(Math.log(min!), Math.log(max!)));
    case "q_log_uniform_values":
      return rounded(exponential(between(Math.log(min!), Math.log(max!))));
    case "normal":
      return normal;
    case "q_normal":
      return rounded(normal);
    case "log_normal":
      return exponential(normal);
    case "q_log_normal":
      return rounded(exponential(normal));
    case undefined:
      throw new TypeError(`samplerOf: parameter ${key} has no values`);
  }
}

/** Where the share of each value ends; that of the last one at no number, whatever the rounding. */
function cumulativeShares(
  values: readonly Json[],
  probabilities: readonly number[] = values.map(() => 1 / values.length),
): number[] {
  let total = 0;
  return probabilities.map((share, index) =>
    index === probabilities.length - 1 ? Infinity : (total += share),
  );
}

const SLUG_LENGTH = 40;
const HASH_DIGITS = 8;

/** `learning_rate-0.001-3fa91b2c`: readable where the values are short, unique in any case. */
function trialId(parameters: JsonObject): string {
  const hash = createHash("sha256").update(canonicalJson(parameters)).digest("hex");
  const sorted = Object.entries(parameters).sort(([a], [b]) => (a < b ? -1 : 1));
  const words = sorted.map(([key, value]) => {
    const name = key.slice(key.lastIndexOf(".") + 1);
    const text = typeof value === "number" ? String(Number(value.toPrecision(4))) : String(value);
    return `${name}-${text.slice(text.lastIndexOf("/") + 1)}`;
  });
  const slug = words.join("-").replace(/[^A-Za-z0-9._+-]+/g, "_");
  const shown = slug.length <= SLUG_LENGTH ? slug : slug.slice(0, SLUG_LENGTH);
  return `${shown.replace(/^[^A-Za-z0-9]+/, "")}-${hash.slice(0, HASH_DIGITS)}`;
}

/** The last rung that a training could reach. */
const LAST_RUNG = 1_000_000;

/** Returns the rungs of `early_terminate`, as W&B counts them. */
export function earlyTerminationOf({
  early_terminate: rule,
}: SweepSettings): EarlyTermination | undefined {
  if (rule === undefined) return undefined;
  const { min_iter: first, max_iter: last, s = 0, eta } = rule;
  const rungs: number[] = [];
  if (first !== undefined) {
    for (let rung = first; rung <= (last ?? LAST_RUNG); rung *= eta) rungs.push(Math.round(rung));
  } else {
    for (let rung = last! / eta, k = 0; k < s && rung >= 1; k++, rung /= eta) {
      rungs.unshift(Math.round(rung));
    }
  }
  return { type: "hyperband", rungs: [...new Set(rungs)], eta };
}

function invalid(message: string, ...details: string[]): DllmError {
  return new DllmError(message, { exitCode: ExitCode.invalidInput, details });
}
