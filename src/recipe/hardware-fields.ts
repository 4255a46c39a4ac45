/** @file The `hardware` section: how to run, never what is computed. */
import { choice, integer, map, number, optional, text, withDefault } from "./fields.js";

/** Keys of `sbatch`; what is left out is the cluster's own default. */
const slurmFields = {
  partition: optional(text("Partition to submit to.")),
  account: optional(text("Account to charge.")),
  qos: optional(text("Quality of service.")),
  time: withDefault(
    "3-00:00:00",
    text("Time limit.", {
      pattern: "^(\\d+-)?\\d+(:\\d{1,2}){0,2}$",
      patternHint: "a Slurm time such as 90, 12:00:00 or 3-00:00:00",
    }),
  ),
  cpus_per_task: withDefault(24, integer("CPUs per node's task.", { minimum: 1 })),
  quotatype: optional(text("Site-specific quota type (`--quotatype`).")),
};

export const hardwareFields = {
  engine: withDefault(
    "auto",
    choice(
      "What computes: the built-in `onnx` engine on one device, the same graphs on TensorFlow.js " +
        "(`tfjs`, a package of your choice), or the reference's PyTorch trainer through " +
        "`accelerate`; auto takes onnx where the plan is for one device.",
      ["auto", "onnx", "tfjs", "accelerate"],
    ),
  ),
  launcher: withDefault(
    "auto",
    choice("How stage processes start; auto takes slurm where there are several nodes.", [
      "auto",
      "local",
      "slurm",
    ]),
  ),
  device: withDefault(
    "cpu",
    choice(
      "Where the engines onnx and tfjs compute trainings and evaluations; `dllm doctor` shows " +
        "what this machine has.",
      ["cpu", "webgpu", "cuda"],
    ),
  ),
  threads: withDefault(
    0,
    integer("CPU threads of a stage; 0 takes all cores.", { minimum: 0, maximum: 1024 }),
  ),
  strategy: withDefault(
    "single",
    choice("How a training is spread over devices; it never changes what is computed.", [
      "single",
      "ddp",
      "zero1",
      "zero2",
      "zero3",
      "fsdp",
    ]),
  ),
  nodes: withDefault(1, integer("Number of machines.", { minimum: 1, maximum: 4096 })),
  gpus_per_node: withDefault(1, integer("Devices per machine.", { minimum: 1, maximum: 64 })),
  device_memory_gib: optional(
    number("Memory of one device, to check that the training fits.", { exclusiveMinimum: 0 }),
  ),
  // DIFFERS: the reference loads weights in bfloat16; the CPU engine computes in float32
  // (test/recipe/load.test.ts).
  precision: withDefault(
    "float32",
    choice("Number format of weights and tensors in the accelerate engine.", [
      "float32",
      "bfloat16",
    ]),
  ),
  slurm: optional(map("How to submit to Slurm.", slurmFields)),
};
