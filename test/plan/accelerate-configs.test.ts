import { expect, test } from "vitest";
import { parse } from "yaml";
import { accelerateConfig, configFile } from "../../src/plan/reference/accelerate-configs.js";

/** ZHZisZZ/dllm@aeab2042 scripts/accelerate_configs, comments and repeated keys left out. */
const rest = `
main_training_function: main
num_machines: 1
num_processes: 8
rdzv_backend: static
same_network: true
tpu_env: []
tpu_use_cluster: false
tpu_use_sudo: false
use_cpu: false
`;
const ddp = `
compute_environment: LOCAL_MACHINE
distributed_type: MULTI_GPU
downcast_bf16: 'no'
machine_rank: 0
num_machines: 1
num_processes: 8
`;
const zero = (deepspeed: string) => `
compute_environment: LOCAL_MACHINE
debug: false
deepspeed_config:
  deepspeed_multinode_launcher: standard
${deepspeed}
distributed_type: DEEPSPEED
downcast_bf16: 'no'
machine_rank: 0
${rest}`;
const offload = `
  offload_optimizer_device: none
  offload_param_device: none`;
const files = {
  single: ddp,
  ddp,
  zero1: zero(`
  zero3_init_flag: false
  zero_stage: 1`),
  zero2: zero(`${offload}
  zero3_init_flag: false
  zero_stage: 2`),
  zero3: zero(`${offload}
  zero3_init_flag: true
  zero3_save_16bit_model: true
  zero_stage: 3`),
  fsdp: `
compute_environment: LOCAL_MACHINE
debug: false
distributed_type: FSDP
downcast_bf16: 'no'
enable_cpu_affinity: false
fsdp_config:
  fsdp_activation_checkpointing: false
  fsdp_auto_wrap_policy: TRANSFORMER_BASED_WRAP
  fsdp_backward_prefetch: BACKWARD_POST
  fsdp_cpu_ram_efficient_loading: true
  fsdp_forward_prefetch: true
  fsdp_offload_params: false
  fsdp_sharding_strategy: FULL_SHARD
  fsdp_state_dict_type: FULL_STATE_DICT
  fsdp_sync_module_states: true
  fsdp_use_orig_params: true
machine_rank: 0
mixed_precision: bf16
${rest}`,
} as const;

test.each(Object.entries(files))("%s is configured as in the reference", (name, text) => {
  const strategy = name as keyof typeof files;
  expect(accelerateConfig(strategy, "report")).toEqual(parse(text));
  // Of these files only FSDP's changed since.
  const changed = { fsdp_backward_prefetch: "BACKWARD_PRE", fsdp_version: 1 };
  const head = parse(text) as { fsdp_config?: object };
  if (strategy === "fsdp") Object.assign(head.fsdp_config!, changed);
  expect(accelerateConfig(strategy, "head")).toEqual(head);
});

test("one device is the configuration for several with one process", () => {
  expect(configFile("single")).toBe("scripts/accelerate_configs/ddp.yaml");
  expect(configFile("zero3")).toBe("scripts/accelerate_configs/zero3.yaml");
});
