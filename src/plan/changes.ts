/** @file What differs between the parameters of two plans of one stage, in the recipe's words. */
import type { Json, JsonObject } from "../base/json.js";
import type { LoadedRecipe, ValueOrigin } from "../recipe/load.js";
import { hasEffect } from "./fingerprint.js";
import type { PinnedFile, SourceParams } from "./params.js";
import type { RecipeStage } from "./stages-of-recipe.js";

/** Where a recipe's values come from, to point at what changed. */
export type Positions = Pick<LoadedRecipe, "position" | "origin">;

/**
 * Returns one line per changed parameter, in the order of the parameters; without positions, as
 * when the recipe is gone, they do not say where.
 */
export function describeChanges(
  before: JsonObject,
  { params: after, origins }: Pick<RecipeStage, "params" | "origins">,
  positions: Positions | undefined,
): string[] {
  const lines: string[] = [];
  for (const { path, from, to } of changedLeaves(before, after, "")) {
    if (!hasEffect(path)) continue;
    const what = describeSources(path, from, to) ?? describeValue(path, from, to);
    lines.push(positions ? `${what} (${placeOf(recipeKeyPath(path, origins), positions)})` : what);
  }
  return lines;
}

function placeOf(keyPath: string, positions: Positions): string {
  return positions.position(keyPath) + asDefault[positions.origin(keyPath)];
}

/** What follows the position of a value that the recipe does not write itself. */
const asDefault: Readonly<Record<ValueOrigin, string>> = {
  file: "",
  override: "",
  environment: ", from the environment",
  edition: ", the edition's default",
  preset: ", of the preset",
  default: ", now the default",
};

interface Change {
  path: string;
  from: Json | undefined;
  to: Json | undefined;
}

function changedLeaves(from: Json | undefined, to: Json | undefined, path: string): Change[] {
  if (isObject(from) && isObject(to)) {
    const keys = [...new Set([...Object.keys(to), ...Object.keys(from)])];
    return keys.flatMap((key) =>
      changedLeaves(from[key], to[key], path === "" ? key : `${path}.${key}`),
    );
  }
  return JSON.stringify(from) === JSON.stringify(to) ? [] : [{ path, from, to }];
}

/** Whether a value is a JSON object. */
export function isObject(value: Json | undefined): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Returns a parameter path with the longest known prefix replaced by the recipe key that it comes from. */
export function recipeKeyPath(path: string, origins: Readonly<Record<string, string>>): string {
  const parts = path.split(".");
  for (let length = parts.length; length >= 0; length--) {
    const origin = origins[parts.slice(0, length).join(".")];
    if (origin === undefined) continue;
    return [origin, ...parts.slice(length)].filter((part) => part !== "").join(".");
  }
  return path;
}

function describeValue(path: string, from: Json | undefined, to: Json | undefined): string {
  const name = path.slice(path.lastIndexOf(".") + 1);
  return `${name} changed ${shortJson(from)} -> ${shortJson(to)}`;
}

function shortJson(value: Json | undefined): string {
  if (value === undefined || value === null) return "none";
  const text = typeof value === "string" ? value : JSON.stringify(value);
  return text.length > 60 ? `${text.slice(0, 59)}…` : text;
}

/** A list of datasets or files is long: names the datasets and the file that differ. */
function describeSources(
  path: string,
  from: Json | undefined,
  to: Json | undefined,
): string | undefined {
  if (path === "files" || path.endsWith(".files")) {
    return `files changed: ${changedFiles(asFiles(from), asFiles(to))}`;
  }
  if (path !== "sources" && path !== "tokenizer.text") return undefined;
  const before = asSources(from);
  const after = asSources(to);
  const same = (a: SourceParams, b: SourceParams) => a.name === b.name;
  const removed = before.find((source) => !after.some((other) => same(source, other)));
  const added = after.find((source) => !before.some((other) => same(source, other)));
  if (added !== undefined) return `dataset ${added.name} added`;
  if (removed !== undefined) return `dataset ${removed.name} removed`;
  for (const source of after) {
    const earlier = before.find((other) => same(source, other))!;
    if (JSON.stringify(earlier.options) !== JSON.stringify(source.options)) {
      return `dataset ${source.name}: options changed ${JSON.stringify(earlier.options)} -> ${JSON.stringify(source.options)}`;
    }
    const files = changedFiles(earlier.files, source.files);
    if (files !== "") return `dataset ${source.name} changed: ${files}`;
  }
  return "order of datasets changed";
}

function changedFiles(before: readonly PinnedFile[], after: readonly PinnedFile[]): string {
  const hashes = new Map(before.map(({ path, sha256 }) => [path, sha256]));
  const differing = after.filter(({ path, sha256 }) => hashes.get(path) !== sha256);
  const present = new Set(after.map(({ path }) => path));
  const paths = [
    ...differing.map(({ path }) => path),
    ...before.filter(({ path }) => !present.has(path)).map(({ path }) => path),
  ];
  return paths.length <= 2 ? paths.join(", ") : `${paths[0]} and ${paths.length - 1} more`;
}

function asSources(value: Json | undefined): readonly SourceParams[] {
  return (value ?? []) as unknown as readonly SourceParams[];
}

function asFiles(value: Json | undefined): readonly PinnedFile[] {
  return (value ?? []) as unknown as readonly PinnedFile[];
}
