/**
 * @file What a recipe may say and the reference's training scripts cannot be told. Each is named
 * with its key, so that no setting is dropped in silence.
 */
import type { Edition } from "../../recipe/schema.js";
import type { PlanProblem } from "../problem.js";
import {
  argumentDefaults,
  fixedBehaviour,
  scriptPaths,
  testFractions,
} from "./script-arguments.js";
import type { TrainRecipe, TrainStage } from "./train-arguments.js";

const commits: Record<Edition, string> = {
  report: "at the report's commit",
  head: "of the reference",
};

const alternative = "leave it out, or train with engine: onnx";

/** Returns why the reference cannot start from the recipe's own model, with its tokenizer. */
export function modelProblems({ model, tokenizer }: TrainRecipe): PlanProblem[] {
  const problems: PlanProblem[] = [];
  const unable = (keyPath: string, message: string, details: string) =>
    problems.push({ keyPath, message: `the accelerate engine ${message}`, details: [details] });
  const name = model.name_or_path;
  if (name === undefined) {
    unable(
      "model",
      "starts from existing weights only",
      "write model.name_or_path, or train with engine: onnx",
    );
  }
  if (model.revision !== undefined && model.revision !== "main") {
    unable("model.revision", "loads no revision but main", "leave revision out");
  }
  const bringsOther = tokenizer?.name_or_path !== undefined && tokenizer.name_or_path !== name;
  if (bringsOther) {
    unable("tokenizer.name_or_path", "takes the tokenizer of the model", "leave it out");
  }
  if (tokenizer?.train !== undefined) {
    unable("tokenizer.train", "takes the tokenizer of the model", alternative);
  }
  if (tokenizer?.chat_template !== undefined) {
    unable("tokenizer.chat_template", "takes the reference's own chat template", alternative);
  }
  return problems;
}

/** Returns the settings of a stage and its objective that the script has no argument for. */
export function settingProblems(recipe: TrainRecipe, stage: TrainStage): PlanProblem[] {
  return [
    ...objectiveProblems(recipe, stage),
    ...splitProblems(recipe, stage),
    ...badRowProblems(stage),
    ...epochProblems(stage),
    ...keptStepProblems(stage),
  ];
}

function objectiveProblems({ mask, edition }: TrainRecipe, stage: TrainStage): PlanProblem[] {
  const script = scriptPaths[stage.kind];
  return Object.entries(fixedBehaviour[edition])
    .filter(([key, fixed]) => mask[key as keyof typeof mask] !== fixed)
    .map(([key, fixed]) => ({
      keyPath: `mask.${key}`,
      message:
        `${key} is ${JSON.stringify(mask[key as keyof typeof mask])}, and ${script} ` +
        `${commits[edition]} knows only ${JSON.stringify(fixed)}`,
      details: [
        key in argumentDefaults.head[stage.kind]
          ? "write edition: head, or train with engine: onnx"
          : "train with engine: onnx",
      ],
    }));
}

/** The scripts split with a fraction of their own, and pt.py not at all. */
function splitProblems(
  { edition }: TrainRecipe,
  { kind, path, settings }: TrainStage,
): PlanProblem[] {
  const fraction = settings.test_fraction;
  const possible = kind === "sft" ? [testFractions[edition]] : [0, testFractions.head];
  if (possible.includes(fraction)) return [];
  return [
    {
      keyPath: `${path}.test_fraction`,
      message:
        kind === "sft"
          ? `test_fraction is ${fraction}, and ${scriptPaths.sft} ${commits[edition]} splits off ${testFractions[edition]}`
          : `test_fraction is ${fraction}, and ${scriptPaths.pretrain} splits nothing off`,
      details: [alternative],
    },
  ];
}

/** The scripts end with the first row that they cannot use. */
function badRowProblems({ path, settings }: TrainStage): PlanProblem[] {
  if (settings.on_bad_row === "error") return [];
  return [
    {
      keyPath: `${path}.on_bad_row`,
      message: "the accelerate engine cannot leave out bad rows",
      details: [alternative],
    },
  ];
}

/** Both scripts declare the number of epochs a whole one. */
function epochProblems({ path, settings }: TrainStage): PlanProblem[] {
  if (settings.max_steps > 0 || Number.isInteger(settings.num_train_epochs)) return [];
  return [
    {
      keyPath: `${path}.num_train_epochs`,
      message: `num_train_epochs is ${settings.num_train_epochs}, and the reference's scripts take whole epochs`,
      details: ["write max_steps, or train with engine: onnx"],
    },
  ];
}

/** A kept step is one of the checkpoints, of which the scripts keep all. */
function keptStepProblems({ path, settings }: TrainStage): PlanProblem[] {
  const { keep_steps = [], save_steps, max_steps } = settings;
  const isFraction = save_steps < 1;
  if (isFraction && max_steps <= 0) return [];
  const interval = isFraction ? Math.ceil(max_steps * save_steps) : save_steps;
  return keep_steps
    .filter((step) => step % interval !== 0 && step !== max_steps)
    .map((step) => ({
      keyPath: `${path}.keep_steps`,
      message: `keep_steps names step ${step}, and the reference writes a checkpoint every ${interval} steps`,
      details: ["name one of those steps, or write another save_steps"],
    }));
}
