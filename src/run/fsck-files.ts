/** @file Names, kinds and modes of all files of a run, and a text that must be in none of them. */
import { createReadStream, existsSync, lstatSync, readdirSync, type Stats } from "node:fs";
import { join } from "node:path";
import { removePath, setMode } from "../base/fs.js";
import { isLeftover } from "../base/quarantine.js";
import type { Problem } from "./fsck.js";

export interface NameRules {
  /** Whether a process works there: then what it is writing is not left over. */
  isLive: boolean;
  /** Directories below which symbolic links may be. */
  linksIn?: readonly string[];
  /** Which entries of the directory itself to look at. */
  only?: (name: string) => boolean;
}

/** Checks everything below a directory and returns how many files there are. */
export function checkNames(directory: string, problems: Problem[], rules: NameRules): number {
  const { isLive, linksIn = [], only = () => true } = rules;
  if (!existsSync(directory)) return 0;
  let files = 0;
  const open: OpenPath[] = [];
  const visit = (path: string, stats: Stats, mayBeLink: boolean): void => {
    if (isOpen(stats)) open.push({ path, stats });
    if (stats.isFile()) files++;
    else if (!stats.isDirectory() && !(stats.isSymbolicLink() && mayBeLink)) {
      const kind = stats.isSymbolicLink() ? "a symbolic link" : "no regular file";
      problems.push({ path, problem: `is ${kind}: nothing of a run is` });
    }
    if (!stats.isDirectory()) return;
    for (const name of readdirSync(path)) {
      if (path === directory && !only(name)) continue;
      const below = join(path, name);
      const found = lstatSync(below, { throwIfNoEntry: false });
      if (!found) continue; // removed since it was listed
      const isDirectory = found.isDirectory();
      const linksBelow = mayBeLink || linksIn.some((each) => path === join(directory, each));
      if (!isLeftover({ name, isDirectory })) visit(below, found, linksBelow);
      else if (!isLive) problems.push(leftover(below));
    }
  };
  visit(directory, lstatSync(directory), false);
  if (open.length > 0) problems.push(modeProblem(directory, open));
  return files;
}

function leftover(path: string): Problem {
  return {
    path,
    problem: "left by a writer that was interrupted",
    repair: { what: "remove it", apply: () => removePath(path) },
  };
}

interface OpenPath {
  path: string;
  stats: Stats;
}

/** Private to the user; what is published may be readable where nobody can write it. */
function isOpen(stats: Stats): boolean {
  if (stats.isSymbolicLink()) return false;
  const mode = stats.mode & 0o777;
  const readOnly = stats.isFile() && (mode & 0o222) === 0;
  return (mode & 0o077) !== 0 && !readOnly;
}

/** One problem for all, so that a copied run does not bury what is damaged in it. */
function modeProblem(directory: string, open: readonly OpenPath[]): Problem {
  const { path, stats } = open[0]!;
  const mode = `has mode ${octal(stats.mode & 0o777)}, expected ${octal(privateMode(stats))}`;
  const repair = {
    what: open.length === 1 ? `set mode ${octal(privateMode(stats))}` : "make them private",
    async apply() {
      for (const each of open) await setMode(each.path, privateMode(each.stats));
    },
  };
  if (open.length === 1) return { path, problem: `${mode}: others can reach it`, repair };
  const found = `others can reach ${open.length} of its files and directories: ${path} ${mode}`;
  return { path: directory, problem: found, repair };
}

function privateMode(stats: Stats): number {
  return stats.isDirectory() ? 0o700 : 0o600;
}

function octal(mode: number): string {
  return `0${mode.toString(8).padStart(3, "0")}`;
}

/** Looks for a secret as it is, in base64 and URL-encoded, in every file below a directory. */
export async function checkSecret(directory: string, secret: string): Promise<Problem[]> {
  const needles = [
    ...new Set([secret, Buffer.from(secret).toString("base64"), encodeURIComponent(secret)]),
  ];
  const problems: Problem[] = [];
  const overlap = Math.max(...needles.map((needle) => needle.length));
  for (const path of filesBelow(directory)) {
    let carried = "";
    for await (const chunk of createReadStream(path, { encoding: "latin1" })) {
      const text = carried + (chunk as string);
      if (needles.some((needle) => text.includes(Buffer.from(needle).toString("latin1")))) {
        problems.push({ path, problem: "contains the secret" });
        break;
      }
      carried = text.slice(-overlap * 4);
    }
  }
  return problems;
}

function filesBelow(directory: string): string[] {
  if (!existsSync(directory)) return [];
  return readdirSync(directory, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));
}
