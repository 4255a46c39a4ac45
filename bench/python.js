/** @file The Python of the peer: DLLM_BENCH_PYTHON, else python3. */
import { spawnSync } from "node:child_process";

/** Returns `{python, versions}`, or `{reason}` when torch or transformers cannot be imported. */
export function findPython() {
  const python = process.env["DLLM_BENCH_PYTHON"] ?? "python3";
  const script =
    "import torch, transformers; print(f'torch {torch.__version__}, transformers {transformers.__version__}')";
  const { status, stdout, stderr, error } = spawnSync(python, ["-c", script], { encoding: "utf8" });
  if (status === 0) return { python, versions: stdout.trim() };
  const cause = error?.message ?? stderr.trim().split("\n").at(-1);
  return {
    reason: `${python} cannot import torch and transformers (${cause}); set DLLM_BENCH_PYTHON to one that can`,
  };
}
