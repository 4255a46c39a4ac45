/** @file The GPUs that stages may be given: those of the machine that this process may see. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

/** Ids of the machine's NVIDIA devices (`GPU-…`) in the driver's order; none without a driver. */
export function presentGpus(directory = "/proc/driver/nvidia/gpus"): string[] {
  try {
    return readdirSync(directory)
      .sort()
      .map((name) => {
        const text = readFileSync(join(directory, name, "information"), "utf8");
        return /GPU UUID:\s*(\S+)/.exec(text)?.[1] ?? name;
      });
  } catch {
    return [];
  }
}

/**
 * Returns the entries of CUDA_VISIBLE_DEVICES that exist, else all devices by index. As in CUDA,
 * what follows an unknown entry is invisible, and an entry twice makes all invisible.
 */
export function gpuPool(visible: string | undefined, present: readonly string[]): string[] {
  if (visible === undefined) return present.map((_, index) => String(index));
  const pool: string[] = [];
  for (const entry of visible.split(",").map((text) => text.trim())) {
    const known = /^\d+$/.test(entry)
      ? Number(entry) < present.length
      : /^(GPU|MIG)-/.test(entry) && present.some((id) => id.startsWith(entry));
    if (!known) break;
    pool.push(entry);
  }
  return new Set(pool).size < pool.length ? [] : pool;
}
