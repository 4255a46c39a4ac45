/**
 * @file The command that runs a benchmark with the reference's evaluation harness. Sources:
 * ZHZisZZ/dllm@ca17675 examples/bert/eval.sh and dllm/core/eval/{base,mdlm}.py (head);
 * ZHZisZZ/dllm@aeab2042 examples/bert/eval.sh, scripts/eval.slurm.sh and
 * dllm/pipelines/bert/eval.py (report).
 */
import type { BenchmarkName } from "../../recipe/benchmark-fields.js";
import type {
  Benchmarks,
  Edition,
  HardwareSettings,
  SamplerSettings,
} from "../../recipe/schema.js";
import { failure, success, type Outcome, type PlanProblem } from "../problem.js";
import { makeCommand, type Command } from "../../base/shell-text.js";
import { argumentText, type ArgumentValue } from "./script-arguments.js";

export type BenchmarkSettings = NonNullable<Benchmarks[BenchmarkName]>;

export interface EvalCommandInputs {
  edition: Edition;
  benchmark: BenchmarkName;
  settings: BenchmarkSettings;
  /** Key path of the evaluation in the recipe. */
  path: string;
  /** Of the evaluation; lengths and steps are the benchmark's own. */
  sampler: BenchmarkSampler;
  promptSpecialTokens: boolean;
  /** Directory or hub name of the model. */
  model: string;
  precision: HardwareSettings["precision"];
  /** Devices that compute. */
  devices: number;
  /** Most questions; -1 for all. */
  limit?: number;
}

export type BenchmarkSampler = Pick<
  SamplerSettings,
  "temperature" | "remasking" | "stochastic_transfer" | "cfg_scale"
>;

export type EvalCommand = Command & { env: Readonly<Record<string, string>> };

const SCRIPT = "dllm/pipelines/bert/eval.py";

/** Returns the command of a benchmark on a model, and the environment that it needs. */
export function evalCommand(inputs: EvalCommandInputs): Outcome<EvalCommand> {
  const { edition, benchmark, settings, devices, limit = -1 } = inputs;
  const problems = problemsOf(inputs);
  if (problems.length > 0) return failure(...problems);
  const modelArgs = Object.entries(modelArguments(inputs))
    .filter(([, value]) => value !== undefined)
    .map(([key, value]) => `${key}=${argumentText(value!)}`)
    .join(",");
  const argv = [
    ...["accelerate", "launch", "--num_processes", String(devices), SCRIPT],
    ...["--tasks", benchmark, "--num_fewshot", String(settings.num_fewshot)],
    ...["--model", "bert", "--apply_chat_template", "--model_args", modelArgs],
    ...(settings.batch_size === HARNESS_BATCH_SIZE
      ? []
      : ["--batch_size", String(settings.batch_size)]),
    ...(limit > 0 ? ["--limit", String(limit)] : []),
    // At head the harness keeps its own seeds: 0 for the shots' shuffling, 1234 for the rest.
    ...(edition === "report" ? ["--seed", "1234"] : []),
  ];
  return success({ ...makeCommand(argv), env: environments[edition] });
}

/** Default of lm-evaluation-harness' `--batch_size`. */
const HARNESS_BATCH_SIZE = 1;

const environment = {
  PYTHONPATH: ".",
  HF_ALLOW_CODE_EVAL: "1",
  HF_DATASETS_TRUST_REMOTE_CODE: "True",
};

const environments: Record<Edition, Readonly<Record<string, string>>> = {
  head: environment,
  // Its generate_until stops in a debugger unless it is told not to.
  report: { ...environment, PYTHONBREAKPOINT: "0" },
};

type ModelArguments = Readonly<Record<string, ArgumentValue | undefined>>;

/** What the harness is told about model, sampler and estimator: only what the task reads. */
function modelArguments(inputs: EvalCommandInputs): ModelArguments {
  const { edition, settings, model, precision, sampler } = inputs;
  const changed = <Value extends ArgumentValue>(value: Value, unchanged: Value) =>
    value === unchanged ? undefined : value;
  // At the report's commit, guidance concerned likelihoods too.
  const guidance = {
    [edition === "report" ? "cfg" : "cfg_scale"]: changed(sampler.cfg_scale, 0),
  };
  const dtype = precision === "float32" ? "float32" : undefined;
  const block = edition === "report" ? "block_length" : "block_size";
  if ("max_new_tokens" in settings) {
    const { max_new_tokens, steps, block_size } = settings;
    return {
      ...{ pretrained: model, dtype, max_new_tokens, steps, [block]: block_size },
      temperature: changed(sampler.temperature, 0),
      remasking: changed(sampler.remasking, "low_confidence"),
      stochastic_transfer: changed(sampler.stochastic_transfer, false),
      ...guidance,
    };
  }
  const greedy = "is_check_greedy" in settings && settings.is_check_greedy;
  const scriptChecksGreedy = edition === "report";
  return {
    pretrained: model,
    dtype,
    is_check_greedy: greedy === scriptChecksGreedy ? undefined : greedy,
    mc_num: settings.mc_num,
    ...(edition === "report" && guidance),
  };
}

/** Whether the harness wraps prompts in special tokens; the report's takes them off again. */
const wrapsPrompts: Record<Edition, boolean> = { head: true, report: false };

function problemsOf(inputs: EvalCommandInputs): PlanProblem[] {
  const { edition, benchmark, settings, path, model, sampler } = inputs;
  const problems: PlanProblem[] = [];
  const add = (keyPath: string, message: string, details: string) =>
    problems.push({ keyPath: `${path}.${keyPath}`, message, details: [details] });
  if ("mc_num" in settings && settings.mc_num % settings.batch_size !== 0) {
    add(
      `benchmarks.${benchmark}.mc_num`,
      `mc_num is ${settings.mc_num}, expected a multiple of batch_size, which is ${settings.batch_size}`,
      "the reference's harness draws noised copies in whole batches",
    );
  }
  if (/[,=]/.test(model)) {
    add(
      "from",
      `the model ${JSON.stringify(model)} cannot be named in --model_args`,
      'lm-evaluation-harness separates there at "," and "="',
    );
  }
  if (!("max_new_tokens" in settings)) return problems;
  if (inputs.promptSpecialTokens !== wrapsPrompts[edition]) {
    add(
      "prompt_special_tokens",
      `prompt_special_tokens is ${inputs.promptSpecialTokens}, and the harness of edition ` +
        `${edition} ${wrapsPrompts[edition] ? "always wraps" : "never wraps"} prompts`,
      `write prompt_special_tokens: ${wrapsPrompts[edition]}`,
    );
  }
  if (edition === "report" && sampler.temperature !== 0) {
    add(
      "sampler.temperature",
      `temperature is ${sampler.temperature}, and the report's harness knows only 0`,
      "leave it out, or write edition: head",
    );
  }
  if (edition === "report" && sampler.stochastic_transfer) {
    add(
      "sampler.stochastic_transfer",
      "stochastic_transfer is true, and the report's harness does not know it",
      "leave it out, or write edition: head",
    );
  }
  return problems;
}
