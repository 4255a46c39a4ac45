/**
 * @file What a stage process inherits of the environment: an allow-list, so that no secret
 * reaches a process, its children and their crash reports by accident.
 *
 * Passed on: where programs, libraries, homes and temporary files are; language and time zone;
 * certificates and proxies; everything of DLLM, Hugging Face, CUDA and numeric libraries, of
 * Slurm and of a distributed launcher. Of secrets only the hub's token, to stages that use the hub.
 */
import { isSecretName } from "../base/redact.js";
import type { StageKind } from "../plan/stage.js";

const NAMES: ReadonlySet<string> = new Set([
  ...["PATH", "HOME", "USER", "LOGNAME", "SHELL", "TERM", "PWD", "NO_COLOR", "CI"],
  ...["TMPDIR", "TMP", "TEMP", "LANG", "LANGUAGE", "TZ"],
  ...["NODE_OPTIONS", "NODE_EXTRA_CA_CERTS", "NODE_V8_COVERAGE", "UV_THREADPOOL_SIZE"],
  ...["LD_LIBRARY_PATH", "LD_PRELOAD", "DYLD_LIBRARY_PATH", "VK_ICD_FILENAMES", "VK_DRIVER_FILES"],
  ...["SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"],
  ...["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"],
  ...["http_proxy", "https_proxy", "all_proxy", "no_proxy"],
  ...["BASE_MODELS_DIR", "BASE_DATASETS_DIR", "HUGGINGFACE_HUB_CACHE", "DO_NOT_TRACK"],
  ...["MASTER_ADDR", "MASTER_PORT", "WORLD_SIZE", "RANK", "LOCAL_RANK", "LOCAL_WORLD_SIZE"],
  ...["NNODES", "NODE_RANK", "NPROC_PER_NODE", "PYTHONPATH", "VIRTUAL_ENV", "CONDA_PREFIX"],
]);

const PREFIXES = [
  ...["DLLM_", "LC_", "XDG_", "HF_", "TRANSFORMERS_", "ACCELERATE_", "TORCH_", "PYTORCH_"],
  ...["CUDA_", "NVIDIA_", "NCCL_", "ROCR_", "HIP_", "ORT_", "TF_"],
  ...["OMP_", "MKL_", "OPENBLAS_", "KMP_", "GOMP_", "SLURM_"],
];

/** Secrets by the kinds of stage that need them. */
const SECRETS: Readonly<Record<string, readonly StageKind[]>> = {
  HF_TOKEN: ["prepare", "export"],
  HUGGING_FACE_HUB_TOKEN: ["prepare", "export"],
};

/** Returns the environment of a stage process. */
export function childEnvironment(
  environment: Readonly<Record<string, string | undefined>>,
  { kind, own }: { kind: StageKind; own: Readonly<Record<string, string>> },
): Record<string, string> {
  const passed: Record<string, string> = {};
  for (const [name, value] of Object.entries(environment)) {
    if (value !== undefined && isPassed(name, kind)) passed[name] = value;
  }
  return { ...passed, ...own };
}

function isPassed(name: string, kind: StageKind): boolean {
  if (Object.hasOwn(SECRETS, name)) return SECRETS[name]!.includes(kind);
  if (isSecretName(name)) return false;
  return NAMES.has(name) || PREFIXES.some((prefix) => name.startsWith(prefix));
}
