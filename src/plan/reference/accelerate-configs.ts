/**
 * @file The reference's configurations of `accelerate`, as data. Source: ZHZisZZ/dllm@aeab2042
 * and @ca17675 scripts/accelerate_configs. The number of processes and machines in them is
 * overridden on the command line.
 */
import type { JsonObject } from "../../base/json.js";
import type { Edition, HardwareSettings } from "../../recipe/schema.js";

export type Strategy = HardwareSettings["strategy"];

/** Returns the name of a strategy's file: one device is DDP with one process. */
export function configName(strategy: Strategy): string {
  return strategy === "single" ? "ddp" : strategy;
}

/** Returns a strategy's file, relative to a checkout of the reference. */
export function configFile(strategy: Strategy): string {
  return `scripts/accelerate_configs/${configName(strategy)}.yaml`;
}

const oneMachine = {
  compute_environment: "LOCAL_MACHINE",
  downcast_bf16: "no",
  machine_rank: 0,
  num_machines: 1,
  num_processes: 8,
};

const inFull = {
  ...oneMachine,
  debug: false,
  main_training_function: "main",
  rdzv_backend: "static",
  same_network: true,
  tpu_env: [],
  tpu_use_cluster: false,
  tpu_use_sudo: false,
  use_cpu: false,
};

function deepspeed(zero: JsonObject): JsonObject {
  return {
    ...inFull,
    distributed_type: "DEEPSPEED",
    deepspeed_config: { deepspeed_multinode_launcher: "standard", ...zero },
  };
}

const noOffload = { offload_optimizer_device: "none", offload_param_device: "none" };

const ddp: JsonObject = { ...oneMachine, distributed_type: "MULTI_GPU" };

function fsdp(edition: Edition): JsonObject {
  return {
    ...inFull,
    distributed_type: "FSDP",
    enable_cpu_affinity: false,
    mixed_precision: "bf16",
    fsdp_config: {
      fsdp_activation_checkpointing: false,
      fsdp_auto_wrap_policy: "TRANSFORMER_BASED_WRAP",
      fsdp_backward_prefetch: edition === "report" ? "BACKWARD_POST" : "BACKWARD_PRE",
      fsdp_cpu_ram_efficient_loading: true,
      fsdp_forward_prefetch: true,
      fsdp_offload_params: false,
      fsdp_sharding_strategy: "FULL_SHARD",
      fsdp_state_dict_type: "FULL_STATE_DICT",
      fsdp_sync_module_states: true,
      fsdp_use_orig_params: true,
      ...(edition === "head" && { fsdp_version: 1 }),
    },
  };
}

/** Returns what the file of a strategy holds; as JSON, `accelerate` reads it from a file too. */
export function accelerateConfig(strategy: Strategy, edition: Edition): JsonObject {
  switch (strategy) {
    case "single":
    case "ddp":
      return ddp;
    case "zero1":
      return deepspeed({ zero3_init_flag: false, zero_stage: 1 });
    case "zero2":
      return deepspeed({ ...noOffload, zero3_init_flag: false, zero_stage: 2 });
    case "zero3":
      return deepspeed({
        ...noOffload,
        zero3_init_flag: true,
        zero3_save_16bit_model: true,
        zero_stage: 3,
      });
    case "fsdp":
      return fsdp(edition);
  }
}
