/**
 * @file Bundles a TypeScript module for a child process of a test, from the sources as they are
 * now: `dist/` could be older.
 */
import { mkdirSync } from "node:fs";
import { basename, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "vite";
import { mutationPlugins } from "./mutation.js";

const root = resolve(fileURLToPath(import.meta.url), "../../..");

/** Returns the path of an ES module that `node` can run. */
export async function bundle(entry: string): Promise<string> {
  // Below node_modules: packages that stay external must resolve from there.
  const outDir = join(root, "node_modules", ".cache", "dllm-test", `${process.pid}`);
  mkdirSync(outDir, { recursive: true });
  const name = basename(entry, ".ts");
  await build({
    root,
    logLevel: "silent",
    configFile: false,
    plugins: mutationPlugins(),
    // One file starts faster than many, and tests start many processes.
    ssr: { noExternal: true },
    build: {
      ssr: resolve(root, entry),
      outDir,
      emptyOutDir: false,
      target: "node20",
      rollupOptions: { output: { entryFileNames: `${name}.mjs`, format: "es" } },
    },
  });
  return join(outDir, `${name}.mjs`);
}
