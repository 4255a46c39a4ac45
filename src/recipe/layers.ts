/** @file Reads a recipe file and the files that it extends, directly or through others. */
import { dirname, isAbsolute, join, normalize } from "node:path";
import { DllmError, ExitCode } from "../base/errors.js";
import { circularExtension, extensionsOf, layOverParents } from "./compose.js";
import { RecipeError, type Issue } from "./issues.js";
import { parseYaml } from "./parse.js";
import { readRecipeText } from "./recipe-text.js";
import { makeOrigin } from "./source-tree.js";
import type { MapEntry, MapNode, Position, SourceNode } from "./source-tree.js";
import { NODE_LIMIT } from "./yaml-tree.js";

/** More would be a mistake, or an attack. */
const FILE_LIMIT = 32;

export interface Layers {
  /** The recipe laid over all that it extends. */
  root: MapNode;
  issues: Issue[];
  /** The recipe's own text. */
  text: string;
  /** All files, the recipe first. */
  files: readonly string[];
}

/** How a recipe file's text is found; throws DllmError. */
export type ReadText = (file: string) => Promise<string>;

/**
 * Returns a recipe file with all that it extends beneath it.
 * @throws RecipeError when a file is no YAML, extends itself, or extends a file that cannot be
 * read; DllmError when the recipe itself cannot be read
 */
export async function readLayers(file: string, read: ReadText = readRecipeText): Promise<Layers> {
  const text = await read(file);
  const files: string[] = [];
  const issues: Issue[] = [];
  let values = 0;

  const readFile = async (
    name: string,
    own: string,
    chain: readonly string[],
  ): Promise<MapNode> => {
    const order = files.push(name) - 1;
    const { root, issues: problems, size } = parseRecipeFile(own, name, order);
    issues.push(...problems);
    values += size;
    const parents: MapNode[] = [];
    const named = extensionsOf(root);
    issues.push(...named.issues);
    for (const extension of named.extensions) {
      parents.push(await readParent(name, extension, chain));
    }
    return parents.length === 0 ? root : layOverParents(root, parents);
  };

  const readParent = async (
    child: string,
    { name, at }: { name: string; at: Position },
    chain: readonly string[],
  ): Promise<MapNode> => {
    const fail = (message: string, cause?: unknown): never => {
      // What a missing recipe says of how to begin one is of no use here.
      const exitCode = cause instanceof DllmError ? { exitCode: cause.exitCode, cause } : {};
      const isMissing = cause instanceof DllmError && cause.exitCode === ExitCode.notFound;
      const details = isMissing ? [`paths start at the directory of ${child}`] : [];
      throw new RecipeError(file, [{ at, message, details }], exitCode);
    };
    if (/^[a-z][a-z0-9+.-]+:\/\//i.test(name)) {
      fail(`${name} is an address: extends takes files, so download it and name the file`);
    }
    if (name.includes("${")) {
      fail(`${name} has a variable, and extends is read before variables: write the file's name`);
    }
    const path = isAbsolute(name) ? name : normalize(join(dirname(child), name));
    if (chain.includes(path)) {
      throw new RecipeError(file, [circularExtension(at, [...chain, path])]);
    }
    if (files.length >= FILE_LIMIT) fail(`the recipe extends more than ${FILE_LIMIT} files`);
    if (values > NODE_LIMIT) {
      fail(`the recipe and what it extends have more than ${NODE_LIMIT} values`);
    }
    let parentText: string;
    try {
      parentText = await read(path);
    } catch (error) {
      if (error instanceof DllmError) return fail(error.message, error);
      throw error;
    }
    return readFile(path, parentText, [...chain, path]);
  };

  const root = await readFile(file, text, [normalize(file)]);
  return { root, issues, text, files };
}

/**
 * Returns the tree of one recipe file.
 * @throws RecipeError when it is no YAML, or no map
 */
export function parseRecipeFile(
  text: string,
  file: string,
  order = 0,
): { root: MapNode; issues: readonly Issue[]; size: number } {
  const { root, issues, size } = parseYaml(text, { kind: "file", label: file, order });
  return { root: rootMap(root, file, text, order), issues, size };
}

function rootMap(root: SourceNode | undefined, file: string, text: string, order: number): MapNode {
  if (root?.type === "map") return root;
  const origin = makeOrigin("file", file, text, order);
  const at: Position = root?.at ?? { origin, line: 1, column: 1, length: 1 };
  if (root === undefined || (root.type === "scalar" && root.value === null)) {
    return { type: "map", entries: new Map<string, MapEntry>(), at };
  }
  const message = `the recipe is a ${root.type === "list" ? "list" : "single value"}, expected keys`;
  throw new RecipeError(file, [{ at: { ...at, length: 1 }, message, details: [] }]);
}
