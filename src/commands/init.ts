/**
 * @file `dllm init [directory]` begins an experiment: a copy of the commented quickstart with its
 * conversations beside it. Never overwrites a file.
 */
import { lstatSync } from "node:fs";
import { readFile, readdir } from "node:fs/promises";
import { basename, dirname, join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { DllmError, ExitCode } from "../base/errors.js";
import { makeUserDirectory, writeUserFile } from "../base/fs.js";
import { SCHEMA_FILE } from "../recipe/json-schema.js";
import type { InitCommand } from "./command.js";
import { commandLine } from "./command-line.js";

const packageRoot = fileURLToPath(new URL("../..", import.meta.url));
const STARTER = "recipes/quickstart.yaml";
/** Relative to the starter. */
const DATA = "data/quickstart-chat";

export const run: InitCommand = async ([directory = "."], _options, io) => {
  const target = resolve(directory);
  const recipe = join(target, "recipe.yaml");
  const source = join(packageRoot, dirname(STARTER), DATA);
  const files = [
    { path: recipe, text: starterFor(target, await readFile(join(packageRoot, STARTER), "utf8")) },
    ...(await Promise.all(
      (await readdir(source)).sort().map(async (name) => ({
        path: join(target, DATA, name),
        text: await readFile(join(source, name), "utf8"),
      })),
    )),
  ];
  const existing = files.find(({ path }) => isTaken(path));
  if (existing !== undefined) {
    throw new DllmError(`${existing.path} exists already, and nothing was written`, {
      exitCode: ExitCode.cannotCreate,
      details: ["name another directory, as in dllm init my-experiment"],
    });
  }
  // All directories first: where one cannot be made, nothing has been written.
  for (const { path } of files) await makeUserDirectory(dirname(path));
  for (const { path, text } of files) await writeUserFile(path, text);
  const shown = relative(process.cwd(), recipe).replace(/^-/, "./-");
  io.out(`wrote ${shown} and ${files.length - 1} files of data`);
  io.out(`next: edit it, then  ${commandLine(["plan", shown], { runs: "runs" })}`);
  return ExitCode.ok;
};

/** Whether there is anything of this name; a link that leads nowhere is somebody's, too. */
function isTaken(path: string): boolean {
  try {
    lstatSync(path);
    return true;
  } catch {
    // What is in the way further up is said where the directory is made.
    return false;
  }
}

/** The starter as a recipe of its own: its name is that of its directory. */
function starterFor(directory: string, text: string): string {
  const name = basename(directory)
    .replace(/[^A-Za-z0-9._-]+/g, "-")
    .replace(/^[^A-Za-z0-9]+/, "");
  const schema = relative(directory, join(packageRoot, SCHEMA_FILE));
  return text
    .replace(/\$schema=.*/, `$schema=${schema}`)
    .replaceAll(STARTER, "recipe.yaml")
    .replaceAll("runs/quickstart", `runs/${name || "experiment"}`)
    .replace(/^name: \S+/m, `name: ${name || "experiment"}`);
}
