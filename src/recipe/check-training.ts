/** @file Rules between the settings of a training stage. */
import { reportClash, type CheckInputs } from "./check-inputs.js";
import type { PretrainSettings } from "./schema.js";
import { settingsAt } from "./stage-sections.js";

/** Reports every broken rule of the training stage at a key path. */
export function checkTraining(inputs: CheckInputs, keyPath: string): void {
  const { recipe, isWritten, report } = inputs;
  const settings = settingsAt(recipe, keyPath) as Partial<PretrainSettings> | undefined;
  if (settings === undefined) return;
  const key = (name: string) => `${keyPath}.${name}`;
  const { max_steps: maxSteps, warmup_steps: warmupSteps } = settings;
  if (maxSteps === 0) {
    report(key("max_steps"), "max_steps is 0, expected -1 or an integer at least 1");
  }
  if (maxSteps !== undefined && maxSteps > 0 && isWritten(key("num_train_epochs"))) {
    reportClash(
      inputs,
      [key("max_steps"), key("num_train_epochs")],
      `max_steps ${maxSteps} and num_train_epochs are both written, and each decides the length`,
      "max_steps: -1 leaves it to num_train_epochs",
    );
  }
  if (warmupSteps !== undefined && warmupSteps > 0) {
    if (isWritten(key("warmup_ratio"))) {
      reportClash(
        inputs,
        [key("warmup_steps"), key("warmup_ratio")],
        `warmup_steps ${warmupSteps} and warmup_ratio are both written, and each decides the warm-up`,
      );
    }
    if (maxSteps !== undefined && maxSteps > 0 && warmupSteps > maxSteps) {
      report(
        key("warmup_steps"),
        `warmup_steps is ${warmupSteps}, expected at most max_steps (${maxSteps})`,
      );
    }
  }
  for (const name of ["logging_steps", "eval_steps", "save_steps"] as const) {
    const steps = settings[name];
    if (steps !== undefined && steps > 1 && !Number.isInteger(steps)) {
      report(
        key(name),
        `${name} is ${steps}, expected an integer (steps) or a number below 1 (a fraction of all)`,
      );
    }
  }
  if (settings.streaming === true) checkStreaming(inputs, settings, key);
  for (const [index, step] of (settings.keep_steps ?? []).entries()) {
    if (maxSteps !== undefined && maxSteps > 0 && step > maxSteps) {
      report(key(`keep_steps.${index}`), `step ${step} is kept, and the training has ${maxSteps}`);
    }
  }
  checkWeights(settings.dataset_args, key("dataset_args"), report);
}

/** A stream has no end, and nobody counts its rows. */
function checkStreaming(
  inputs: CheckInputs,
  settings: Partial<PretrainSettings>,
  key: (name: string) => string,
): void {
  const { isWritten, report } = inputs;
  const { max_steps: maxSteps, test_fraction: fraction } = settings;
  if (maxSteps !== undefined && maxSteps < 1) {
    report(
      key("streaming"),
      "streaming is true, and the length of the training is not known: the rows never end",
      'write "max_steps:"',
    );
  }
  if (isWritten(key("test_fraction")) && fraction !== undefined && fraction > 0) {
    reportClash(
      inputs,
      [key("streaming"), key("test_fraction")],
      "a share of a stream cannot be held out: its rows are not counted",
      "hold out the first rows of a dataset with name[test:1000], or bring a test split",
    );
  }
  if (settings.group_by_length === true) {
    reportClash(
      inputs,
      [key("streaming"), key("group_by_length")],
      "the rows of a stream cannot be grouped by length: they are not known in advance",
      "leave one of them out",
    );
  }
}

/** Weights make a mix only where every dataset has one. */
function checkWeights(args: unknown, keyPath: string, report: CheckInputs["report"]): void {
  if (!Array.isArray(args)) return;
  const items = args as readonly { weight?: number; name?: string }[];
  const without = items.findIndex(({ weight }) => weight === undefined);
  if (without === -1 || items.every(({ weight }) => weight === undefined)) return;
  report(
    `${keyPath}.${without}`,
    `dataset ${items[without]!.name} has no weight, and others have one`,
    "give all datasets a weight, or none",
  );
}
