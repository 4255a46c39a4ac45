/** @file Whether a process ended for lack of memory: by the kernel's word, or by its own. */
import { readFileSync } from "node:fs";
import { join } from "node:path";

function read(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return undefined;
  }
}

/** Where the kernel's files are; another root in tests. */
export interface KernelRoots {
  proc?: string;
  cgroup?: string;
}

/**
 * Returns how many processes of this process's memory cgroup (version 2 or 1) the kernel has
 * killed for lack of memory; undefined where it cannot be asked.
 */
export function oomKills({ proc = "/proc", cgroup = "/sys/fs/cgroup" }: KernelRoots = {}):
  number | undefined {
  // Lines are `id:controllers:path`; version 2 has id 0 and no controllers.
  for (const line of read(join(proc, "self/cgroup"))?.split("\n") ?? []) {
    const [id, controllers = "", path = ""] = line.split(":");
    const isVersion2 = id === "0" && controllers === "";
    if (!isVersion2 && !controllers.split(",").includes("memory")) continue;
    const [mount, file] = isVersion2 ? ["", "memory.events"] : ["memory", "memory.oom_control"];
    // In a container the path may be the host's: the mount itself is then our group.
    const text = read(join(cgroup, mount, path, file)) ?? read(join(cgroup, mount, file));
    const count = /^oom_kill (\d+)$/m.exec(text ?? "")?.[1];
    if (count !== undefined) return Number(count);
  }
  return undefined;
}

// What Node, ONNX Runtime, C++ and PyTorch say.
const OUT_OF_MEMORY =
  /heap out of memory|array buffer allocation failed|failed to allocate memory|bad_alloc|out ?of ?memory|cannot allocate memory|invalid array length|MemoryError/i;

/** Whether a program's last words say that it ran out of memory. */
export function saysOutOfMemory(text: string): boolean {
  return OUT_OF_MEMORY.test(text);
}
