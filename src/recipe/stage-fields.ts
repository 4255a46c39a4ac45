/** @file The keys of an export, and of each kind of stage under `stages`. */
import { evalBody } from "./evaluation-fields.js";
import { choice, list, optional, text, withDefault } from "./fields.js";
import { modelSource } from "./model-source.js";
import { pretrainFields, sftFields } from "./training-fields.js";

const exportBody = {
  formats: withDefault(
    ["safetensors", "onnx"] as readonly ("safetensors" | "onnx")[],
    list("Files to write beside the tokenizer and the model card.", {
      ...choice("A format.", ["safetensors", "onnx"]),
    }),
  ),
};

export const exportFields = {
  from: optional(
    modelSource("The stage whose model is exported; by default the last training stage."),
  ),
  ...exportBody,
};

const startsFrom = withDefault(
  "model",
  modelSource("Start from the model of this stage, or from the recipe's own (`model`)."),
);

/** The keys of a stage under `stages`, by its kind. */
export const stageVariants = {
  pretrain: { from: startsFrom, ...pretrainFields },
  sft: { from: startsFrom, ...sftFields },
  eval: {
    from: list("Stages whose models are evaluated.", modelSource("A stage, or model.")),
    data: optional(
      text("The training stage on whose test split to evaluate; by default the model's own."),
    ),
    ...evalBody,
  },
  export: { from: modelSource("The stage whose model is exported."), ...exportBody },
};

export const stageIdRule = {
  pattern: "^(?!prepare)[a-z0-9][a-z0-9_-]{0,63}$",
  patternHint:
    "a stage id of at most 64 lower-case letters, digits, `_` and `-`, not beginning with `prepare`",
};
