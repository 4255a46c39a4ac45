/** @file Refuses a plan whose engine or device this machine has not, before anything starts. */
import { DllmError, ExitCode } from "../base/errors.js";
import type { PlannedStage } from "../plan/stage.js";

/**
 * Tries the device that stages to run compute on.
 * @throws DllmError 78 when one cannot be used
 */
export async function requireDevices(stages: readonly PlannedStage[]): Promise<void> {
  const asked = stages.filter(
    ({ action, hardware: { engine, device } }) =>
      action !== "reuse" && (engine === "tfjs" || (engine === "onnx" && device !== "cpu")),
  );
  if (asked.length === 0) return;
  // Only here, as the engine is slow to load and most runs compute on the CPU, in other processes.
  const { reasonAgainst } = await import("../engine/probe.js");
  // All stages compute on the recipe's one device.
  const { engine, device } = asked[0]!.hardware;
  if (engine === "accelerate") return;
  const reason = await reasonAgainst(device, engine);
  if (reason === undefined) return;
  throw new DllmError(`engine ${engine} cannot compute on ${device} here: ${reason}`, {
    exitCode: ExitCode.environment,
    details: [
      "`dllm doctor` shows what this machine has",
      "or write hardware: {engine: onnx, device: cpu}",
    ],
  });
}
