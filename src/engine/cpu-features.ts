/** @file What the processor can do that decides numbers or speed here. */
import { readFileSync } from "node:fs";

/** Returns the instruction sets that Linux lists for the first processor; elsewhere none. */
export function cpuFlags(path = "/proc/cpuinfo"): ReadonlySet<string> {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch {
    return new Set(); // not Linux
  }
  const line = /^(?:flags|Features)\s*:\s*(.*)$/m.exec(text);
  return new Set(line?.[1]!.split(/\s+/));
}

/**
 * Whether products of int8 are summed without saturating at 16 bits: on x86 only by the VNNI
 * instructions, elsewhere always.
 */
export function sumsInt8Exactly(
  architecture: string = process.arch,
  flags: ReadonlySet<string> = cpuFlags(),
): boolean {
  if (architecture !== "x64" && architecture !== "ia32") return true;
  return flags.has("avx512_vnni") || flags.has("avx_vnni");
}
