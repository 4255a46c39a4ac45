/** @file What this version can plan and cannot execute yet: refused before anything runs. */
import { DllmError, ExitCode } from "../base/errors.js";
import { runsReference } from "./engine.js";
import type { PlannedStage, StageSpec } from "./stage.js";

/** More would hide the first. */
const SHOWN = 10;

/** Returns why a stage cannot run, in one line; undefined when it can. */
export function blockedReason({
  params,
  hardware,
}: Pick<StageSpec, "params" | "hardware">): string | undefined {
  if ("benchmark" in params) {
    return `this version has no harness for the benchmark ${String(params["benchmark"])}`;
  }
  if (runsReference(hardware.engine)) {
    return "this version does not start accelerate itself: run the command, or write hardware.engine: onnx";
  }
  if (hardware.launcher === "slurm") return "this version does not submit to Slurm itself";
  return undefined;
}

/**
 * Refuses a plan with stages to run that this version cannot execute, all of them named.
 * @throws DllmError 78
 */
export function refuseBlocked({ stages }: { stages: readonly PlannedStage[] }): void {
  const blocked = stages.filter(({ action, blocked: reason }) => action !== "reuse" && reason);
  if (blocked.length === 0) return;
  throw new DllmError(
    `${blocked.length} of ${stages.length} stages cannot run here, and nothing was started`,
    {
      exitCode: ExitCode.environment,
      details: [
        ...blocked.slice(0, SHOWN).map(({ id, blocked: reason }) => `${id}: ${reason}`),
        ...(blocked.length > SHOWN ? [`and ${blocked.length - SHOWN} more`] : []),
        "dllm plan shows their commands; --profile smoke runs a tiny version of shipped recipes",
      ],
    },
  );
}
