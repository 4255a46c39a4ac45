/**
 * @file The command that runs a benchmark with the reference's evaluation harness. Sources:
 * ZHZisZZ/dllm@ca17675 examples/bert/eval.sh and dllm/core/eval/{base,mdlm}.py (head);
 * ZHZisZZ/dllm@aeab2042 examples/bert/eval.sh, scripts/eval.slurm.sh and
 * dllm/pipelines/bert/eval.py (report).
 */
import type { BenchmarkName } from "../../recipe/benchmark-fields.js";
import type { Benchmarks, Edition, HardwareSettings } from "../../recipe/schema.js";
import { failure, success, type Outcome, type PlanProblem } from "../problem.js";
import { makeCommand, type Command } from "../../base/shell-text.js";
import { argumentText, type ArgumentValue } from "./script-arguments.js";

export type BenchmarkSettings = NonNullable<Benchmarks[BenchmarkName]>;

export interface EvalCommandInputs {
  edition: Edition;
  benchmark: BenchmarkName;
  settings: BenchmarkSettings;
  /** Key path of the benchmark in the recipe. */
  path: string;
  /** Directory or hub name of the model. */
  model: string;
  precision: HardwareSettings["precision"];
  /** Devices that compute. */
  devices: number;
  /** Most questions; -1 for all. */
  limit?: number;
}

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
function modelArguments({
  edition,
  settings,
  model,
  precision,
}: EvalCommandInputs): ModelArguments {
  const dtype = precision === "float32" ? "float32" : undefined;
  const block = edition === "report" ? "block_length" : "block_size";
  if ("max_new_tokens" in settings) {
    const { max_new_tokens, steps, block_size } = settings;
    return { pretrained: model, dtype, max_new_tokens, steps, [block]: block_size };
  }
  const greedy = "is_check_greedy" in settings && settings.is_check_greedy;
  const scriptChecksGreedy = edition === "report";
  return {
    pretrained: model,
    dtype,
    is_check_greedy: greedy === scriptChecksGreedy ? undefined : greedy,
    mc_num: settings.mc_num,
  };
}

function problemsOf({ settings, path, model }: EvalCommandInputs): PlanProblem[] {
  const problems: PlanProblem[] = [];
  if ("mc_num" in settings && settings.mc_num % settings.batch_size !== 0) {
    problems.push({
      keyPath: `${path}.mc_num`,
      message: `mc_num is ${settings.mc_num}, expected a multiple of batch_size, which is ${settings.batch_size}`,
      details: ["the reference's harness draws noised copies in whole batches"],
    });
  }
  if (/[,=]/.test(model)) {
    problems.push({
      keyPath: path,
      message: `the model ${JSON.stringify(model)} cannot be named in --model_args`,
      details: ['lm-evaluation-harness separates there at "," and "="'],
    });
  }
  return problems;
}
