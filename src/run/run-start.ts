/** @file How a run starts: what must be there before its first stage, and what is said of it. */
import { DllmError, ExitCode } from "../base/errors.js";
import type { Plan } from "../plan/plan.js";
import type { PlannedStage } from "../plan/stage.js";
import { checkDisk } from "./disk-check.js";
import type { RunStagesInputs } from "./run-stages.js";
import type { Store } from "./store.js";

/**
 * Announces the run of these stages, once they can be run.
 * @throws DllmError 66 when one needs what is neither among them nor finished, 74 when the disk is
 * too small
 */
export async function startRun(
  world: RunStagesInputs,
  stages: readonly PlannedStage[],
): Promise<void> {
  const { inputs, paths, emit } = world;
  checkGivens(inputs.plan, stages, inputs.store);
  const { directory } = paths;
  const warning = inputs.disk && (await checkDisk({ directory, ...inputs.disk }));
  announce(world, stages);
  if (warning !== undefined) emit({ event: "warning", message: warning });
}

/** Whatever is not selected and needed must be there already. */
function checkGivens(plan: Plan, stages: readonly PlannedStage[], store: Store): void {
  const selected = new Set(stages.map(({ id }) => id));
  const fingerprints = new Map(plan.stages.map(({ id, fingerprint }) => [id, fingerprint]));
  for (const { id, needs } of stages) {
    const missing = needs.find(
      (need) => !selected.has(need) && !store.finished(fingerprints.get(need)!),
    );
    if (missing === undefined) continue;
    throw new DllmError(
      `stage ${id} cannot be run from here: it needs ${missing}, which is not finished`,
      {
        exitCode: ExitCode.notFound,
        details: [`run without --from, or from ${missing} on`],
      },
    );
  }
}

function announce(
  { inputs, selection, paths, emit }: RunStagesInputs,
  stages: readonly PlannedStage[],
): void {
  const { name, sweep } = inputs.plan;
  emit({
    event: "run-started",
    run: name,
    directory: paths.directory,
    stages: stages.map(({ id, kind, action, reason, fingerprint }) =>
      selection.anew.has(id)
        ? { id, kind, action: "run", reason: "anew (--from)", fingerprint }
        : { id, kind, action, reason, fingerprint },
    ),
    ...(sweep && { trials: sweep.trials.length }),
  });
}
