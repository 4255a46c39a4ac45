/** @file The software and hardware that a report was written on; nothing that names a person. */
import { existsSync, readFileSync } from "node:fs";
import { cpus, release, totalmem } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { formatBytes } from "./format.js";

interface PackageJson {
  version?: unknown;
  dependencies?: Record<string, string>;
}

function readPackage(directory: string): PackageJson | undefined {
  try {
    return JSON.parse(readFileSync(join(directory, "package.json"), "utf8")) as PackageJson;
  } catch {
    return undefined;
  }
}

function ancestors(path: string): string[] {
  const parent = dirname(path);
  return parent === path ? [path] : [path, ...ancestors(parent)];
}

/** The directory of this package: the nearest one above that has a package.json. */
function packageDirectory(): string {
  const here = dirname(fileURLToPath(import.meta.url));
  return ancestors(here).find((path) => existsSync(join(path, "package.json"))) ?? here;
}

/** Returns the facts in the order in which they are shown. */
export function describeEnvironment(): [name: string, value: string][] {
  const root = packageDirectory();
  const own = readPackage(root);
  const processors = cpus();
  const model = processors[0]?.model.trim() || "unknown processor";
  const facts: [string, string][] = [
    ["dllm", String(own?.version ?? "unknown")],
    ["Node.js", process.versions.node],
    ["Platform", `${process.platform} ${process.arch}, kernel ${release()}`],
    ["Processor", `${model} × ${processors.length}`],
    ["Memory", formatBytes(totalmem())],
  ];
  for (const name of Object.keys(own?.dependencies ?? {}).sort()) {
    const home = ancestors(root).find((path) => existsSync(join(path, "node_modules", name)));
    const version = home && readPackage(join(home, "node_modules", name))?.version;
    if (typeof version === "string") facts.push([name, version]);
  }
  return facts;
}
