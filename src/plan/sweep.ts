/**
 * @file The trials of a sweep: W&B's grid and random search. Source: docs.wandb.ai, "Sweep
 * configuration options"; distributions as defined there.
 */
import { createHash } from "node:crypto";
import { DllmError, ExitCode } from "../base/errors.js";
import { canonicalJson, type Json, type JsonObject } from "../base/json.js";
import { randomStream, type RandomStream } from "../base/random.js";
import type { SweepSettings } from "../recipe/schema.js";
import type { EarlyTermination } from "./trials.js";

/** More is no experiment, but a mistake in a range. */
export const TRIAL_LIMIT = 100_000;

export interface Trial {
  /** Names the values: equal parameters have equal ids, in every run and whatever the order. */
  id: string;
  /** Recipe key path to value. */
  parameters: JsonObject;
}

type Parameter = SweepSettings["parameters"][string];

/**
 * Returns the trials of a sweep in order. Random trial n does not depend on how many there are:
 * raising run_cap adds to those that are there.
 * @throws DllmError 65 for parameters that the method cannot use, and for too many trials
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

function gridValues(key: string, parameter: Parameter): readonly Json[] {
  if (parameter.value !== undefined) return [parameter.value];
  if (parameter.values !== undefined) return parameter.values;
  const { min, max, q = 1 } = parameter;
  const kind = distributionOf(key, parameter);
  if ((kind === "int_uniform" || kind === "q_uniform") && min !== undefined && max !== undefined) {
    const step = kind === "int_uniform" ? 1 : q;
    const count = Math.floor((max - min) / step + 1e-9) + 1;
    if (count > TRIAL_LIMIT) throw invalid(`${key} has ${count} values in a grid`);
    return Array.from({ length: count }, (_, index) => min + index * step);
  }
  throw invalid(
    `a grid cannot list the values of ${key}, whose distribution is ${kind}`,
    'write "values:", or take method: random',
  );
}

function drawsOf({ parameters, run_cap: cap, seed }: SweepSettings): JsonObject[] {
  if (cap === undefined) {
    throw invalid("a random sweep never ends", 'write "run_cap:", the number of trials');
  }
  if (cap > TRIAL_LIMIT) throw invalid(`run_cap is ${cap}, expected at most ${TRIAL_LIMIT}`);
  const axes = Object.entries(parameters).map(([key, parameter]) => {
    return [key, samplerOf(key, parameter)] as const;
  });
  return Array.from({ length: cap }, (_, trial) =>
    Object.fromEntries(
      axes.map(([key, sample]) => {
        // By name: another parameter beside it changes no draw of this one.
        const random = randomStream({
          seed,
          purpose: "sweep",
          epoch: nameNumber(key),
          sample: trial,
        });
        return [key, sample(random)];
      }),
    ),
  );
}

/** A number of 24 bits for a name. */
function nameNumber(key: string): number {
  return createHash("sha256").update(key).digest().readUIntBE(0, 3);
}

/** Returns the named distribution of a parameter, or the one that its keys imply. */
export function distributionOf(key: string, parameter: Parameter): string {
  const { distribution, value, values, min, max, mu } = parameter;
  if (distribution !== undefined) return distribution;
  if (value !== undefined) return "constant";
  if (values !== undefined) return "categorical";
  if (min !== undefined && max !== undefined) {
    return Number.isInteger(min) && Number.isInteger(max) ? "int_uniform" : "uniform";
  }
  if (mu !== undefined) return "normal";
  throw invalid(
    `parameter ${key} has no values`,
    'write "value:", "values:", or "min:" and "max:"',
  );
}

/** Returns a function that draws a value of a parameter. */
function samplerOf(key: string, parameter: Parameter): (random: RandomStream) => Json {
  const { value, values, probabilities, min, max, mu = 0, sigma = 1, q = 1 } = parameter;
  const kind = distributionOf(key, parameter);
  const bounds = (): [min: number, max: number] => {
    if (min === undefined || max === undefined || min > max) {
      throw invalid(`${kind} of ${key} needs min and max, with min <= max`);
    }
    return [min, max];
  };
  const between = (random: RandomStream, low: number, high: number) =>
    low + (high - low) * random.uniform64();
  const rounded = (x: number) => Number((Math.round(x / q) * q).toPrecision(12));
  const logBounds = (): [number, number] => {
    const [low, high] = bounds();
    if (low <= 0) throw invalid(`${kind} of ${key} needs min above 0, found ${low}`);
    return [Math.log(low), Math.log(high)];
  };
  switch (kind) {
    case "constant": {
      if (value === undefined) throw invalid(`parameter ${key} is constant and has no value`);
      return () => value;
    }
    case "categorical": {
      if (values === undefined) throw invalid(`parameter ${key} is categorical and has no values`);
      const cumulative = cumulativeShares(key, values, probabilities);
      return (random) => {
        const share = random.uniform64();
        return values[
          Math.max(
            0,
            cumulative.findIndex((limit) => share < limit),
          )
        ]!;
      };
    }
    case "int_uniform": {
      const [low, high] = bounds().map(Math.round) as [number, number];
      return (random) => low + random.below(high - low + 1);
    }
    case "uniform": {
      const [low, high] = bounds();
      return (random) => between(random, low, high);
    }
    case "q_uniform": {
      const [low, high] = bounds();
      return (random) => rounded(between(random, low, high));
    }
    // log(1/x) uniform is log(x) uniform.
    case "inv_log_uniform_values":
    case "log_uniform_values": {
      const [low, high] = logBounds();
      return (random) => Math.exp(between(random, low, high));
    }
    case "q_log_uniform_values": {
      const [low, high] = logBounds();
      return (random) => rounded(Math.exp(between(random, low, high)));
    }
    case "normal":
      return (random) => mu + sigma * random.normal();
    case "q_normal":
      return (random) => rounded(mu + sigma * random.normal());
    case "log_normal":
      return (random) => Math.exp(mu + sigma * random.normal());
    default:
      throw invalid(`distribution ${kind} of ${key} is not known`);
  }
}

function cumulativeShares(
  key: string,
  values: readonly Json[],
  probabilities: readonly number[] = values.map(() => 1 / values.length),
): number[] {
  const sum = probabilities.reduce((a, b) => a + b, 0);
  if (probabilities.length !== values.length || Math.abs(sum - 1) > 1e-6) {
    throw invalid(
      `probabilities of ${key} are ${probabilities.length} numbers with sum ${sum}`,
      `expected ${values.length} numbers with sum 1`,
    );
  }
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
  const words = Object.entries(parameters).map(([key, value]) => {
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
  metric,
}: SweepSettings): EarlyTermination | undefined {
  if (rule === undefined) return undefined;
  if (metric === undefined) {
    throw invalid("early_terminate has nothing to compare", 'write "metric:" with a name');
  }
  const { min_iter: first, max_iter: last, s, eta } = rule;
  const rungs: number[] = [];
  if (first !== undefined) {
    for (let rung = first; rung <= (last ?? LAST_RUNG); rung *= eta) rungs.push(Math.round(rung));
  } else if (last !== undefined && s !== undefined) {
    for (let rung = last / eta, k = 0; k < s && rung >= 1; k++, rung /= eta) {
      rungs.unshift(Math.round(rung));
    }
  } else {
    throw invalid("early_terminate has no rungs", 'write "min_iter:", or "max_iter:" and "s:"');
  }
  return { type: "hyperband", rungs: [...new Set(rungs)], eta };
}

function invalid(message: string, ...details: string[]): DllmError {
  return new DllmError(message, { exitCode: ExitCode.invalidInput, details });
}
