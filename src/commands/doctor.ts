/** @file `dllm doctor` says what this machine offers, what is missing, and what that means. */
import { accessSync, constants, existsSync, statfsSync } from "node:fs";
import { availableParallelism, freemem, homedir, totalmem } from "node:os";
import { delimiter, join } from "node:path";
import { ExitCode } from "../base/errors.js";
import { sumsInt8Exactly } from "../engine/cpu-features.js";
import type { Device } from "../engine/device.js";
import { installedVersion, reasonAgainst } from "../engine/probe.js";
import { tfjsPackages } from "../engine/tfjs/backend.js";
import { formatBytes } from "../report/format.js";
import type { DoctorCommand } from "./command.js";

/**
 * `missing` hinders nothing but what its detail names, `problem` hinders every run, `unset` is a
 * setting that one may do without.
 */
export interface Finding {
  name: string;
  status: "ok" | "missing" | "problem" | "unset";
  detail: string;
}

const SMALLEST_NODE = 20;
/** A quickstart run writes about 100 MB. */
const SMALLEST_DISK_BYTES = 2 ** 30;

/** What each program that we start is for. */
const programs = {
  flock: "locks that end with their process; without it a file names the owner",
  setpriv: "stage processes that end with the run even when it is killed",
  python3: "the accelerate engine",
  accelerate: "training on several devices",
  sbatch: "stages as Slurm jobs",
  "nvidia-smi": "NVIDIA's driver, for cuda",
};

/** Names of settings that say where to go or who one is; only whether they are set is shown. */
const settings = [
  ...["HF_TOKEN", "HF_HOME", "HF_ENDPOINT", "HF_HUB_OFFLINE"],
  ...["WANDB_API_KEY", "WANDB_MODE", "WANDB_BASE_URL", "WANDB_PROJECT", "WANDB_ENTITY"],
];

export const run: DoctorCommand = async (_args, { json, runs }, io) => {
  const findings = [
    ...machine(runs),
    ...(await devices()),
    ...packages(),
    ...Object.entries(programs).map(([name, purpose]) => program(name, purpose)),
    ...credentials(),
  ];
  if (json) {
    io.out(JSON.stringify(findings, null, 2));
  } else {
    const width = Math.max(...findings.map(({ name }) => name.length));
    for (const { name, status, detail } of findings) {
      io.out(`${status.padEnd(7)}  ${name.padEnd(width)}  ${detail}`);
    }
  }
  return findings.some(({ status }) => status === "problem") ? ExitCode.environment : ExitCode.ok;
};

function machine(runs: string): Finding[] {
  const node = process.versions.node;
  const nodeFits = Number(node.split(".")[0]) >= SMALLEST_NODE;
  const directory = existsSync(runs) ? runs : ".";
  const { bavail, bsize } = statfsSync(directory);
  const free = bavail * bsize;
  const writable = isAccessible(directory, constants.W_OK);
  return [
    {
      name: "node",
      status: nodeFits ? "ok" : "problem",
      detail: nodeFits ? node : `${node}, expected ${SMALLEST_NODE} or later`,
    },
    { name: "cores", status: "ok", detail: String(availableParallelism()) },
    {
      name: "memory",
      status: "ok",
      detail: `${formatBytes(freemem())} free of ${formatBytes(totalmem())}`,
    },
    {
      name: "disk",
      status: writable && free >= SMALLEST_DISK_BYTES ? "ok" : "problem",
      detail: `${formatBytes(free)} free for runs${writable ? "" : `, but ${directory} cannot be written`}`,
    },
    {
      name: "int8",
      status: sumsInt8Exactly() ? "ok" : "missing",
      detail: sumsInt8Exactly()
        ? "weights of 8 bits"
        : "no VNNI instructions: precision int8 keeps weights of 7 bits and is slower",
    },
  ];
}

const advice: Record<Device, string> = {
  cpu: "ONNX Runtime does not work here: install again",
  webgpu: "needs a GPU and its driver (Vulkan, Metal or Direct3D 12)",
  cuda: "needs the provider that onnxruntime-node's install script fetches, CUDA 12 and cuDNN 9",
};

async function devices(): Promise<Finding[]> {
  const findings: Finding[] = [];
  for (const device of ["cpu", "webgpu", "cuda"] satisfies Device[]) {
    const reason = await reasonAgainst(device);
    findings.push({
      name: `onnxruntime ${device}`,
      status: reason === undefined ? "ok" : device === "cpu" ? "problem" : "missing",
      detail: reason
        ? `${advice[device]} (${reason})`
        : `computes, version ${installedVersion("onnxruntime-node")}`,
    });
  }
  return findings;
}

function packages(): Finding[] {
  return tfjsPackages.map((name) => {
    const version = installedVersion(name);
    return {
      name,
      status: version === undefined ? "missing" : "ok",
      detail: version ?? `for the tfjs engine: npm install ${name}`,
    };
  });
}

function program(name: string, purpose: string): Finding {
  const path = (process.env["PATH"] ?? "")
    .split(delimiter)
    .map((directory) => join(directory, name))
    .find((file) => isAccessible(file, constants.X_OK));
  return { name, status: path ? "ok" : "missing", detail: path ?? `not on PATH: ${purpose}` };
}

function credentials(): Finding[] {
  const home = process.env["HF_HOME"] ?? join(homedir(), ".cache", "huggingface");
  return [
    ...settings.map((name): Finding => {
      const isSet = (process.env[name] ?? "") !== "";
      return { name, status: isSet ? "ok" : "unset", detail: isSet ? "set" : "not set" };
    }),
    file("Hugging Face login", join(home, "token")),
    file("netrc (W&B login)", join(homedir(), ".netrc")),
  ];
}

function file(name: string, path: string): Finding {
  const exists = existsSync(path);
  return { name, status: exists ? "ok" : "unset", detail: exists ? path : `no ${path}` };
}

function isAccessible(path: string, mode: number): boolean {
  try {
    accessSync(path, mode);
    return true;
  } catch {
    return false;
  }
}
