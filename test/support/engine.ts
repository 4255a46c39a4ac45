/**
 * @file The engine that the golden suite runs on: onnx on the CPU, or what DLLM_TEST_ENGINE and
 * DLLM_TEST_DEVICE say.
 */
import type { EngineOptions } from "../../src/engine/session.js";

export const testEngine: EngineOptions = {
  threads: 1,
  engine: (process.env["DLLM_TEST_ENGINE"] ?? "onnx") as NonNullable<EngineOptions["engine"]>,
  device: (process.env["DLLM_TEST_DEVICE"] ?? "cpu") as NonNullable<EngineOptions["device"]>,
};
