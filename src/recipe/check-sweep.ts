/** @file Rules of a sweep: that each parameter says what its method and distribution need. */
import type { CheckInputs } from "./check-inputs.js";
import { distributionOf, type SweepParameter } from "./sweep-fields.js";

/** Reports every broken rule of a recipe's sweep. */
export function checkSweep(inputs: CheckInputs): void {
  const { recipe, isWritten, report } = inputs;
  const { sweep } = recipe;
  if (sweep === undefined) return;
  if (sweep.method === "random" && !isWritten("sweep.run_cap")) {
    report("sweep.method", "a random sweep never ends", 'write "run_cap:", the number of trials');
  }
  for (const [key, parameter] of Object.entries(sweep.parameters ?? {})) {
    // One that is invalid has been reported.
    if (parameter !== undefined) checkParameter(inputs, key, parameter as SweepParameter);
  }
  checkEarlyTermination(inputs);
}

function checkParameter(inputs: CheckInputs, key: string, parameter: SweepParameter): void {
  const { recipe, isWritten } = inputs;
  const path = `sweep.parameters.${key}`;
  const report = (name: string, message: string, ...details: string[]) => {
    inputs.report(isWritten(`${path}.${name}`) ? `${path}.${name}` : path, message, ...details);
  };
  const isInvalid = ["value", "values", "min", "max", "mu", "distribution", "probabilities"].some(
    (name) => isWritten(`${path}.${name}`) && !Object.hasOwn(parameter, name),
  );
  if (isInvalid) return;
  const kind = distributionOf(parameter);
  if (kind === undefined) {
    const missing = 'write "value:", "values:", or "min:" and "max:"';
    return report("", `parameter ${key} has no values`, missing);
  }
  const { value, values, min, max } = parameter;
  if (kind === "constant" && value === undefined) {
    return report("distribution", `parameter ${key} is constant and has no "value:"`);
  }
  if (kind === "categorical" && values === undefined) {
    return report("distribution", `parameter ${key} is categorical and has no "values:"`);
  }
  checkProbabilities(report, parameter);
  if (kind.includes("uniform")) {
    if (min === undefined || max === undefined) {
      const missing = min === undefined ? "min" : "max";
      return report("distribution", `${kind} of ${key} has no "${missing}:"`);
    }
    if (min > max) return report("min", `min is ${min}, expected at most max (${max})`);
    if (kind.endsWith("_values") && min <= 0) {
      return report("min", `min is ${min}, expected a number above 0 for ${kind}`);
    }
    const fraction = kind === "int_uniform" ? ([min, max].find(isFraction) ?? 0) : 0;
    if (fraction !== 0) {
      const name = fraction === min ? "min" : "max";
      return report(name, `${name} is ${fraction}, expected an integer for int_uniform`);
    }
  }
  const isListed = ["constant", "categorical", "int_uniform", "q_uniform"].includes(kind);
  if (recipe.sweep?.method === "grid" && !isListed) {
    const message = `a grid cannot list the values of ${key}, whose distribution is ${kind}`;
    report("distribution", message, 'write "values:", or take method: random');
  }
}

const isFraction = (value: number) => !Number.isInteger(value);

function checkProbabilities(
  report: (name: string, message: string, ...details: string[]) => void,
  { values = [], probabilities }: SweepParameter,
): void {
  if (probabilities === undefined) return;
  const sum = probabilities.reduce((a, b) => a + b, 0);
  if (probabilities.length === values.length && Math.abs(sum - 1) <= 1e-6) return;
  report(
    "probabilities",
    `probabilities are ${probabilities.length} numbers with sum ${Number(sum.toPrecision(6))}, ` +
      `expected ${values.length} with sum 1, one for each of "values:"`,
  );
}

function checkEarlyTermination({ recipe, isWritten, report }: CheckInputs): void {
  const path = "sweep.early_terminate";
  if (recipe.sweep?.early_terminate === undefined) return;
  if (!isWritten("sweep.metric")) {
    report(path, "early_terminate has nothing to compare", 'write "metric:" with a name');
  }
  const hasRungs =
    isWritten(`${path}.min_iter`) || (isWritten(`${path}.max_iter`) && isWritten(`${path}.s`));
  if (!hasRungs) {
    report(path, "early_terminate has no rungs", 'write "min_iter:", or "max_iter:" and "s:"');
  }
}
