/**
 * @file The command that runs a training stage with the reference's trainer, as its README and
 * its report write it: `accelerate launch` on one machine, `sbatch` on a cluster. To be run in a
 * checkout of the reference at the commit of the edition.
 *
 * Which arguments are written: those that the edition's published commands always write, and
 * those whose value differs from the script's own default; in the order of the README. Two
 * commands are equal when they name the same script and launch and, with the defaults filled in,
 * the same arguments; output_dir says where and not what (test/plan/launch-command.test.ts holds
 * every published command against this).
 */
import type { Edition, HardwareSettings } from "../recipe/schema.js";
import type { ResolvedTrainingHardware } from "./hardware.js";
import { failure, success, type Outcome } from "./problem.js";
import { configFile, configName } from "./reference/accelerate-configs.js";
import {
  trainArguments,
  type TrainArgumentInputs,
  type TrainArguments,
} from "./reference/train-arguments.js";
import { makeCommand, type Command } from "../base/shell-text.js";

export type TrainCommandInputs = Omit<TrainArgumentInputs, "batch"> & {
  resolved: ResolvedTrainingHardware;
};

/** A command with what it does otherwise than the recipe says, in words. */
export type StageCommand = Command & { words: readonly string[] };

/** Returns the command of a training stage, or the settings that it cannot express. */
export function trainCommand({ resolved, ...inputs }: TrainCommandInputs): Outcome<StageCommand> {
  const made = trainArguments({ ...inputs, batch: resolved });
  if (!made.ok) return made;
  const { hardware } = inputs.recipe;
  if (resolved.launcher === "local") {
    const argv = [...accelerateLaunch(hardware, resolved.devices), made.value.script];
    return success({ ...makeCommand([...argv, ...made.value.argv]), words: made.value.words });
  }
  return slurmCommand(inputs.recipe, made.value);
}

function accelerateLaunch(hardware: HardwareSettings, processes: number): string[] {
  return [
    "accelerate",
    "launch",
    "--config_file",
    configFile(hardware.strategy),
    "--num_processes",
    String(processes),
    ...(needsOtherPrecision(hardware) ? ["--mixed_precision", "no"] : []),
  ];
}

/** fsdp.yaml asks for bfloat16; the other files leave it to the script. */
function needsOtherPrecision({ strategy, precision }: HardwareSettings): boolean {
  return strategy === "fsdp" && precision === "float32";
}

const TRAIN_SCRIPT = "scripts/train.slurm.sh";

/** What the `#SBATCH` lines of scripts/train.slurm.sh say; arguments of sbatch win over them. */
const header = { nodes: 1, time: "3-00:00:00", cpus_per_task: 24 };

/** Where the script writes its log; Slurm fails without a word where the directory is absent. */
const logDirectories: Record<Edition, string> = { report: "logs", head: ".logs" };

function slurmCommand(
  { hardware, edition }: TrainCommandInputs["recipe"],
  { script, argv, words }: TrainArguments,
): Outcome<StageCommand> {
  if (needsOtherPrecision(hardware)) {
    return failure({
      keyPath: "hardware.precision",
      message: `precision is "float32", and ${TRAIN_SCRIPT} with ${configFile("fsdp")} computes in bfloat16`,
      details: ['write "precision: bfloat16", or another strategy'],
    });
  }
  const { nodes, gpus_per_node, slurm } = hardware;
  const flags: Readonly<Record<string, string | number | undefined>> = {
    nodes: nodes === header.nodes ? undefined : nodes,
    gres: `gpu:${hardware.strategy === "single" ? 1 : gpus_per_node}`,
    partition: slurm?.partition,
    account: slurm?.account,
    qos: slurm?.qos,
    quotatype: slurm?.quotatype,
    time: slurm?.time === header.time ? undefined : slurm?.time,
    "cpus-per-task":
      slurm?.cpus_per_task === header.cpus_per_task ? undefined : slurm?.cpus_per_task,
  };
  const command = [
    "sbatch",
    ...Object.entries(flags)
      .filter(([, value]) => value !== undefined)
      .map(([flag, value]) => `--${flag}=${value}`),
    TRAIN_SCRIPT,
    ...["--accelerate_config", configName(hardware.strategy)],
    ...["--script_path", script],
    ...argv,
  ];
  const site =
    slurm?.partition === undefined || slurm.quotatype === undefined
      ? [
          `${TRAIN_SCRIPT} names a partition and a quota type of its authors' cluster: edit it, or ` +
            "write hardware.slurm.partition and quotatype",
        ]
      : [];
  const logs = `${TRAIN_SCRIPT} needs a directory ${logDirectories[edition]}`;
  return success({ ...makeCommand(command), words: [...words, ...site, logs] });
}
