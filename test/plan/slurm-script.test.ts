import { spawnSync } from "node:child_process";
import { chmodSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { slurmScript, slurmSubmission } from "../../src/plan/slurm-script.js";
import { inTemporaryDirectory } from "../support/temporary-directory.js";

test("the submission: flags for requeueing, stopping in time, and finding the job again", () => {
  expect(
    slurmSubmission({
      token: "3fa9",
      comment: "chat/sft/1",
      directory: "/runs/chat/sft",
      hardware: {
        nodes: 4,
        gpus_per_node: 8,
        slurm: {
          partition: "gpu",
          account: "lab",
          qos: "high",
          quotatype: "spot",
          time: "12:00:00",
          cpus_per_task: 24,
        },
      },
      after: ["17", "18"],
      script: "job.sh",
    }),
  ).toEqual([
    "sbatch",
    "--parsable",
    "--job-name=dllm-3fa9",
    "--comment=chat/sft/1",
    "--chdir=/runs/chat/sft",
    "--output=out.log",
    "--open-mode=append",
    "--requeue",
    "--signal=TERM@180",
    "--kill-on-invalid-dep=yes",
    "--nodes=4",
    "--ntasks-per-node=1",
    "--gres=gpu:8",
    "--cpus-per-task=24",
    "--time=12:00:00",
    "--partition=gpu",
    "--account=lab",
    "--qos=high",
    "--quotatype=spot",
    "--dependency=afterok:17:18",
    "--export=NONE",
    "job.sh",
  ]);
  const plain = slurmSubmission({
    token: "3fa9",
    comment: "chat/sft/1",
    directory: "/runs",
    hardware: { nodes: 1, gpus_per_node: 1 },
    script: "job.sh",
  });
  expect(plain.filter((flag) => /partition|time|cpus|depend/.test(flag))).toEqual([]);
});

const program = ["examples/bert/sft.py", "--dataset_args", "a|b", "--output_dir", "it's here"];

/** Runs a script as Slurm would, with stand-ins for its commands, and returns what srun was given. */
function runScript(
  script: string,
  directory: string,
): { argv: string[]; env: string; code: number } {
  const bin = join(directory, "bin");
  mkdirSync(bin);
  writeFileSync(join(bin, "scontrol"), '#!/bin/sh\nprintf "node7\\nnode8\\n"\n');
  writeFileSync(
    join(bin, "srun"),
    '#!/bin/sh\nprintf "%s\\0" "$PWD" "$TOKEN" "$PYTHONPATH" "$@"\nexit 9\n',
  );
  for (const name of ["scontrol", "srun"]) chmodSync(join(bin, name), 0o755);
  writeFileSync(join(directory, "job.sh"), script);
  const { stdout, stderr, status } = spawnSync("bash", [join(directory, "job.sh")], {
    encoding: "utf8",
    env: {
      PATH: `${bin}:${process.env["PATH"] ?? ""}`,
      SLURM_JOB_NODELIST: "node[7-8]",
      SLURM_JOB_ID: "123456",
      SLURM_PROCID: "0",
    },
  });
  expect(stderr).toBe("");
  const [cwd, token, pythonPath, ...argv] = stdout.split("\0").slice(0, -1);
  return { argv, env: [cwd, token, pythonPath].join(" "), code: status! };
}

test("the script starts one launcher per node, and ends as they end", () =>
  inTemporaryDirectory((directory) => {
    const checkout = join(directory, "check out");
    mkdirSync(checkout);
    const environmentFile = join(directory, "secret.env");
    writeFileSync(environmentFile, "TOKEN=hf_secret\n", { mode: 0o600 });
    const script = slurmScript({
      nodes: 2,
      gpusPerNode: 8,
      checkout,
      configFile: "/runs/accelerate.json",
      program,
      environmentFile,
    });
    expect(script).not.toContain("hf_secret");
    expect(runScript(script, directory)).toEqual({
      argv: [
        ...["--kill-on-bad-exit=1", "--export=ALL", "--nodes=2", "--ntasks=2"],
        ...["accelerate", "launch", "--config_file", "/runs/accelerate.json"],
        ...["--num_machines", "2", "--num_processes", "16"],
        ...["--main_process_ip", "node7", "--main_process_port", "23456"],
        ...["--machine_rank", "0", "--rdzv_backend", "c10d"],
        ...program,
      ],
      env: `${checkout} hf_secret .`,
      code: 9,
    });
    return Promise.resolve();
  }));
