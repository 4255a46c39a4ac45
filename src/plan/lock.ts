/**
 * @file `dllm.lock`: what a recipe stands for at the moment it is locked. Sources by commit or
 * content, and every default that the recipe leaves to this version of dllm, so that a later
 * version, or a branch that moved, cannot change an experiment unseen.
 */
import { createHash } from "node:crypto";
import { canonicalJson, type Json, type JsonObject } from "../base/json.js";
import type { LoadedRecipe } from "../recipe/load.js";
import { isObject } from "./changes.js";
import type { PinnedFile, SourceParams } from "./params.js";
import type { PinnedDirectory, Pins } from "./pins.js";

/** `dllm.lock`, beside the recipes that it locks. */
export interface LockFile {
  schema: 1;
  /** By the recipe's name; profiles have names of their own. */
  recipes: Readonly<Record<string, LockedRecipe>>;
}

export interface LockedRecipe {
  /** `dataset tatsu-lab/alpaca`, `model …`, `tokenizer …` to what it was. */
  sources: Readonly<Record<string, LockedSource>>;
  /** Key path to the value that applies though the recipe does not write it. */
  defaults: Readonly<Record<string, Json>>;
}

export type LockedSource =
  /** Of the hub: the branch or tag that was asked for, and the commit that it was. */
  | { revision: string; commit: string }
  /** Of this machine: sha256 of names, sizes and hashes of the files. */
  | { sha256: string };

/** Returns what a recipe stands for; a source without a known commit has none. */
export function lockedRecipe(loaded: LoadedRecipe, pins: Pins): LockedRecipe {
  const sources: Record<string, LockedSource> = {};
  for (const { kind, source } of namedSources(pins)) {
    const locked = lockedSource(source);
    if (locked !== undefined) sources[`${kind} ${source.name}`] = locked;
  }
  return { sources: sorted(sources), defaults: sorted(defaultsOf(loaded)) };
}

/** Returns the hub sources, named as in a lock, whose commit is not known. */
export function withoutCommit(pins: Pins): string[] {
  return namedSources(pins)
    .filter(({ source: { hub } }) => hub !== undefined && hub.commit === undefined)
    .map(({ kind, source }) => `${kind} ${source.name}`);
}

function namedSources(pins: Pins): {
  kind: string;
  source: SourceParams | PinnedDirectory;
}[] {
  return [
    ...Object.values(pins.datasets).flatMap((datasets) =>
      datasets.map((source) => ({ kind: "dataset", source })),
    ),
    ...(pins.model === undefined ? [] : [{ kind: "model", source: pins.model }]),
    ...(pins.tokenizer === undefined ? [] : [{ kind: "tokenizer", source: pins.tokenizer }]),
  ];
}

function lockedSource(source: {
  files: readonly PinnedFile[];
  hub?: { revision: string; commit?: string };
}): LockedSource | undefined {
  const { hub, files } = source;
  if (hub !== undefined) {
    return hub.commit === undefined ? undefined : { revision: hub.revision, commit: hub.commit };
  }
  return { sha256: createHash("sha256").update(canonicalJson(files)).digest("hex") };
}

/** Sections that do not decide what is computed. */
const NOT_LOCKED: ReadonlySet<string> = new Set(["hardware", "reproduces", "expects", "sweep"]);

function defaultsOf(loaded: LoadedRecipe): Record<string, Json> {
  const defaults: Record<string, Json> = {};
  const visit = (value: JsonObject, prefix: string) => {
    for (const [key, item] of Object.entries(value)) {
      const path = `${prefix}${key}`;
      if (NOT_LOCKED.has(path)) continue;
      if (isObject(item)) visit(item, `${path}.`);
      else if (!loaded.isWritten(path)) defaults[path] = item;
    }
  };
  visit(loaded.recipe as unknown as JsonObject, "");
  return defaults;
}

function sorted<Value>(record: Readonly<Record<string, Value>>): Record<string, Value> {
  return Object.fromEntries(Object.entries(record).sort(([a], [b]) => (a < b ? -1 : 1)));
}

/**
 * Returns, in words, how a recipe departs from its lock: every source that moved, is new or is
 * gone, and every default that is another.
 */
export function lockDrift(locked: LockedRecipe, now: LockedRecipe): string[] {
  const drift: string[] = [];
  for (const name of namesOf(locked.sources, now.sources)) {
    const [before, after] = [locked.sources[name], now.sources[name]];
    if (canonicalJson(before ?? null) === canonicalJson(after ?? null)) continue;
    drift.push(`${name}: ${describeSource(before)} -> ${describeSource(after)}`);
  }
  for (const key of namesOf(locked.defaults, now.defaults)) {
    const [before, after] = [locked.defaults[key], now.defaults[key]];
    if (canonicalJson(before ?? null) === canonicalJson(after ?? null)) continue;
    drift.push(`default of ${key}: ${describeDefault(before)} -> ${describeDefault(after)}`);
  }
  return drift;
}

function namesOf(a: object, b: object): string[] {
  return [...new Set([...Object.keys(a), ...Object.keys(b)])].sort();
}

function describeSource(source: LockedSource | undefined): string {
  if (source === undefined) return "not there";
  if ("commit" in source) return `${source.revision} at ${source.commit.slice(0, 12)}`;
  return `files ${source.sha256.slice(0, 12)}`;
}

function describeDefault(value: Json | undefined): string {
  return value === undefined ? "not a default" : JSON.stringify(value);
}
