/**
 * Installs the dependencies and compiles the sources where they are missing or stale, so that
 * `npm run quickstart` and `npm test` work on a fresh clone. Quiet when there is nothing to do.
 */
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, statSync, utimesSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const inRoot = (...parts) => join(root, ...parts);
const mtimeMs = (path) => (existsSync(path) ? statSync(path).mtimeMs : 0);

function run(title, command, args) {
  console.error(`dllm setup: ${title} …`);
  const { status, error } = spawnSync(command, args, {
    cwd: root,
    stdio: ["ignore", 2, 2],
    shell: process.platform === "win32",
  });
  if (error !== undefined || status !== 0) {
    console.error(`dllm setup: "${command} ${args.join(" ")}" failed (see above)`);
    process.exit(78);
  }
}

function newestMtimeMs(directory) {
  let newest = statSync(directory).mtimeMs;
  for (const entry of readdirSync(directory, { withFileTypes: true })) {
    const path = join(directory, entry.name);
    newest = Math.max(newest, entry.isDirectory() ? newestMtimeMs(path) : statSync(path).mtimeMs);
  }
  return newest;
}

/** Installs dependencies when package-lock.json is newer than what is installed. */
export function ensureInstalled() {
  const stamp = inRoot("node_modules", ".package-lock.json");
  if (mtimeMs(stamp) >= mtimeMs(inRoot("package-lock.json"))) return;
  run("installing dependencies", "npm", ["ci", "--no-audit", "--no-fund"]);
  const now = new Date();
  utimesSync(stamp, now, now);
}

/** Compiles src/ to dist/ when a source is newer than the last compilation. */
export function ensureBuilt() {
  const source = inRoot("src");
  if (!existsSync(source)) return; // an installed package ships dist/ alone
  const stamp = inRoot("dist", ".built");
  if (mtimeMs(stamp) >= newestMtimeMs(source)) return;
  ensureInstalled();
  run("compiling", process.execPath, [
    inRoot("node_modules", "typescript", "bin", "tsc"),
    "-p",
    "tsconfig.build.json",
  ]);
  writeFileSync(stamp, "");
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  ensureInstalled();
  ensureBuilt();
}
