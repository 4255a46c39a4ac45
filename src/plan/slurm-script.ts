/**
 * @file How a stage is submitted to Slurm: the arguments of sbatch, and the batch script that
 * starts one launcher per node. Rendezvous as in ZHZisZZ/dllm@ca17675 scripts/train.slurm.sh; the
 * rest is what makes a job survive preemption and its failure be noticed.
 */
import type { HardwareSettings } from "../recipe/schema.js";
import { shellQuote } from "../base/shell-text.js";

export interface SlurmSubmission {
  /** Unique to the attempt: finds the job again when its id was lost or given to another. */
  token: string;
  /** `<run>/<stage>/<attempt>`, for people. */
  comment: string;
  /** Absolute directory for the log. */
  directory: string;
  hardware: Pick<HardwareSettings, "nodes" | "gpus_per_node" | "slurm">;
  /** Ids of jobs that must have succeeded before. */
  after?: readonly string[];
  /** The batch script. */
  script: string;
}

/** Seconds before its end at which a job is told; Slurm may be up to a minute early. */
const SECONDS_TO_STOP = 180;

/** Returns the arguments of `sbatch` that submit a stage. */
export function slurmSubmission({
  token,
  comment,
  directory,
  hardware,
  after = [],
  script,
}: SlurmSubmission): string[] {
  const { nodes, gpus_per_node, slurm } = hardware;
  const optional = (flag: string, value: string | undefined) =>
    value === undefined ? [] : [`--${flag}=${value}`];
  return [
    "sbatch",
    "--parsable", // prints the id and nothing else
    `--job-name=dllm-${token}`,
    `--comment=${comment}`,
    `--chdir=${directory}`,
    "--output=out.log",
    "--open-mode=append", // a requeued job goes on in the same log
    "--requeue",
    `--signal=TERM@${SECONDS_TO_STOP}`,
    "--kill-on-invalid-dep=yes", // otherwise a job waits forever for one that failed
    `--nodes=${nodes}`,
    "--ntasks-per-node=1",
    `--gres=gpu:${gpus_per_node}`,
    ...optional("cpus-per-task", slurm && String(slurm.cpus_per_task)),
    ...optional("time", slurm?.time),
    ...optional("partition", slurm?.partition),
    ...optional("account", slurm?.account),
    ...optional("qos", slurm?.qos),
    ...optional("quotatype", slurm?.quotatype),
    ...optional("dependency", after.length > 0 ? `afterok:${after.join(":")}` : undefined),
    "--export=NONE", // the submitter's environment may hold secrets, and Slurm shows it
    script,
  ];
}

export interface SlurmScript {
  nodes: number;
  gpusPerNode: number;
  /** Absolute directory of the reference's checkout, in which the program runs. */
  checkout: string;
  /** Configuration file of accelerate. */
  configFile: string;
  /** The script with its arguments. */
  program: readonly string[];
  /** Absolute file of `NAME=value` lines, readable by its owner only: secrets are nowhere else. */
  environmentFile?: string;
}

/** Returns the text of the batch script. */
export function slurmScript({
  nodes,
  gpusPerNode,
  checkout,
  configFile,
  program,
  environmentFile,
}: SlurmScript): string {
  const environment =
    environmentFile === undefined ? [] : ["set -a", `. ${shellQuote(environmentFile)}`, "set +a"];
  return `${[
    "#!/usr/bin/env bash",
    "set -eu",
    ...environment,
    "export PYTHONPATH=.",
    "export NCCL_ASYNC_ERROR_HANDLING=1",
    `cd ${shellQuote(checkout)}`,
    'hosts=$(scontrol show hostnames "$SLURM_JOB_NODELIST")',
    "master=${hosts%%$'\\n'*}",
    "port=$((20000 + SLURM_JOB_ID % 10000))",
    "# The trainer is a step, which alone is told of preemption in time; exec, so that its exit",
    "# code is the job's.",
    `exec srun --kill-on-bad-exit=1 --export=ALL --nodes=${nodes} --ntasks=${nodes} \\`,
    `  accelerate launch --config_file ${shellQuote(configFile)} \\`,
    `  --num_machines ${nodes} --num_processes ${nodes * gpusPerNode} \\`,
    '  --main_process_ip "$master" --main_process_port "$port" \\',
    '  --machine_rank "$SLURM_PROCID" --rdzv_backend c10d \\',
    `  ${program.map(shellQuote).join(" ")}`,
  ].join("\n")}\n`;
}
