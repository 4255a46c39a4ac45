/** @file The field that names the model which a stage starts from, evaluates or exports. */
import { text } from "./fields.js";

/** `sft`, `sft@2000` (the model it kept at that step), or `model`. */
export const modelSource = (doc: string) =>
  text(doc, {
    pattern: "^[a-z0-9][a-z0-9_-]{0,63}(@[1-9]\\d*)?$",
    patternHint: "a stage such as sft, one of its kept steps such as sft@2000, or model",
  });
