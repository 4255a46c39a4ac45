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
  const visit = (path: string, stats: Stats, mayBeLink: boolean): void => {
    const mode = modeProblem(path, stats);
    if (mode) problems.push(mode);
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
  return files;
}

function leftover(path: string): Problem {
  return {
    path,
    problem: "left by a writer that was interrupted",
    repair: { what: "remove it", apply: () => removePath(path) },
  };
}

/** Private to the user; what is published may be readable where nobody can write it. */
function modeProblem(path: string, stats: Stats): Problem | undefined {
  if (stats.isSymbolicLink()) return undefined;
  const mode = stats.mode & 0o777;
  const readOnly = stats.isFile() && (mode & 0o222) === 0;
  if ((mode & 0o077) === 0 || readOnly) return undefined;
  const expected = stats.isDirectory() ? 0o700 : 0o600;
  return {
    path,
    problem: `has mode ${octal(mode)}, expected ${octal(expected)}: others can reach it`,
    repair: { what: `set mode ${octal(expected)}`, apply: () => setMode(path, expected) },
  };
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
