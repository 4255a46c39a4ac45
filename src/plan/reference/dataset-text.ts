/**
 * @file `dataset_args` as the reference's scripts read it. Source: ZHZisZZ/dllm@ca17675 and
 * @aeab2042 dllm/data/utils.py load_sft_dataset, load_pt_dataset; dllm/utils/utils.py parse_spec.
 */
import type {
  DatasetArgs,
  DatasetSeparator,
  Edition,
  TrainingStageName,
} from "../../recipe/schema.js";
import { datasetParts, splitAt, type DatasetPart } from "../dataset-parts.js";
import { failure, success, type Outcome, type PlanProblem } from "../problem.js";

export interface DatasetTextInputs {
  datasetArgs: DatasetArgs;
  /** Those of the recipe, for the text form. */
  separators: readonly DatasetSeparator[];
  edition: Edition;
  kind: TrainingStageName;
  /** Key path of `dataset_args` in the recipe. */
  keyPath: string;
  /** Where the reference finds a dataset, such as the absolute path of a local one. */
  locate: (name: string) => string;
}

/** The last one joins a list, as the README of the edition does. */
const referenceSeparators: Record<Edition, readonly DatasetSeparator[]> = {
  report: ["|"],
  head: ["|", "+"],
};

/** What load_sft_dataset reads `name` and `lang` for, by a part of the dataset's name. */
const sftOptions: readonly { match: string; options: readonly string[] }[] = [
  { match: "HuggingFaceTB/smoltalk", options: ["name"] },
  { match: "OpenCoder-LLM/opc-sft-stage1", options: ["name", "lang"] },
  { match: "OpenCoder-LLM/opc-sft-stage2", options: ["name", "lang"] },
];
const LANG_PRETRAINING = "OpenCoder-LLM/opc-annealing-corpus";

/** Every other key with a whole number is a split with its row limit. */
const NO_LIMITS: readonly string[] = [
  "config",
  "name",
  "lang",
  "split",
  "revision",
  "weight",
  "max_samples",
  "messages",
  "prompt",
  "completion",
  "text",
];
const INTEGER = /^\d+(?:_\d+)*$/;

/** Returns the text of `--dataset_args`: as written where the reference reads the same in it. */
export function referenceDatasetText(inputs: DatasetTextInputs): Outcome<string> {
  const { datasetArgs, separators, edition, locate } = inputs;
  const parts = datasetParts(datasetArgs, separators, inputs.keyPath);
  const problems = parts.flatMap((part) => problemsOf(part, inputs));
  if (problems.length > 0) return failure(...problems);
  const texts = parts.map(({ name, options }) =>
    partText(
      locate(name),
      options.map(([key, value]) => [key === "config" ? "name" : key, value]),
    ),
  );
  if (typeof datasetArgs === "string") {
    const readByReference = splitAt(datasetArgs, referenceSeparators[edition]);
    if (JSON.stringify(readByReference) === JSON.stringify(texts)) return success(datasetArgs);
  }
  return success(texts.join(referenceSeparators[edition].at(-1)));
}

function partText(name: string, options: readonly (readonly [string, string])[]): string {
  if (options.length === 0) return name;
  return `${name}[${options.map(([key, value]) => `${key}:${value}`).join(",")}]`;
}

function problemsOf(
  { name, options, keyPath }: DatasetPart,
  { edition, kind, locate, datasetArgs }: DatasetTextInputs,
): PlanProblem[] {
  const isText = typeof datasetArgs === "string";
  const problem = (key: string, message: string, details: string): PlanProblem => ({
    keyPath: isText ? keyPath : `${keyPath}.${key}`,
    message: `dataset ${name}: ${message}`,
    details: [details],
  });
  const problems: PlanProblem[] = [];
  const located = locate(name);
  const separator = [...referenceSeparators[edition], "="].find((text) => located.includes(text));
  if (located.startsWith("npm:")) {
    problems.push(
      problem(
        "name",
        "the accelerate engine reads no npm packages",
        "name a file, a directory or a dataset of the hub",
      ),
    );
  } else if (separator !== undefined) {
    problems.push(
      problem(
        "name",
        `the accelerate engine cannot be given a name with "${separator}"`,
        "the reference's scripts cut dataset_args there",
      ),
    );
  }
  for (const [key, value] of options) {
    if (INTEGER.test(value) && !NO_LIMITS.includes(key)) continue;
    if (!understoodOptions(name, kind).includes(key === "config" ? "name" : key)) {
      problems.push(
        problem(
          key,
          `the accelerate engine does not know "${key}"`,
          `the reference's ${kind === "sft" ? "sft.py" : "pt.py"} cannot express it; leave it ` +
            "out, or train with engine: onnx",
        ),
      );
    } else if (isCut(value, edition)) {
      problems.push(
        problem(
          key,
          `the accelerate engine cannot be given ${key}: ${JSON.stringify(value)}`,
          "the reference's scripts read punctuation and whole numbers there in another way",
        ),
      );
    }
  }
  return problems;
}

function isCut(value: string, edition: Edition): boolean {
  const separators: readonly string[] = [...referenceSeparators[edition], ",", "]"];
  return value === "" || INTEGER.test(value) || separators.some((text) => value.includes(text));
}

/** Options beside row limits that the reference's loaders read for a dataset. */
function understoodOptions(name: string, kind: TrainingStageName): readonly string[] {
  if (kind === "pretrain") return name.includes(LANG_PRETRAINING) ? ["name", "lang"] : ["name"];
  return sftOptions.find(({ match }) => name.includes(match))?.options ?? [];
}
