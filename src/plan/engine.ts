/** @file What computes a stage. */

/** Ours on ONNX Runtime or TensorFlow.js, or the reference itself in Python. */
export type EngineName = "onnx" | "tfjs" | "accelerate";

/** Whether an engine is the reference: its memory, its precision and its launcher are others. */
export function runsReference(engine: EngineName): engine is "accelerate" {
  return engine === "accelerate";
}
