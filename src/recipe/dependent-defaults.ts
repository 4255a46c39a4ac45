/**
 * @file Defaults that depend on what a recipe says elsewhere: those of its edition, of its model
 * preset, of its model family.
 */
import { modelFamilyNames, type ModelFamily } from "../base/model-config.js";
import { editions } from "./editions.js";
import {
  DEFAULT_FAMILY,
  modelConfigDefaults,
  modelPresetNames,
  modelPresets,
  type ModelPresetName,
} from "./model-fields.js";
import { findNode, type KeyPath, type SourceNode } from "./source-tree.js";

/** Key path of the written value that gives others their defaults. */
export type Decider = "edition" | "model.preset" | "model.family" | "model.config";

export interface DependentDefault {
  readonly value: unknown;
  readonly decider: Decider;
}

/** Key path to its default; the path of a section says that it is there without being written. */
export type DependentDefaults = ReadonlyMap<string, DependentDefault>;

/** Returns the defaults that the written values of a tree decide; invalid ones decide nothing. */
export function dependentDefaults(root: SourceNode | undefined): DependentDefaults {
  const defaults = new Map<string, DependentDefault>();
  if (root === undefined) return defaults;
  const edition = writtenWord(
    root,
    ["edition"],
    Object.keys(editions) as (keyof typeof editions)[],
  );
  if (edition !== undefined) {
    for (const [path, value] of Object.entries(editions[edition])) {
      defaults.set(path, { value, decider: "edition" });
    }
  }
  const model = modelFromScratch(root);
  if (model !== undefined) {
    const { family, preset, decider } = model;
    defaults.set("model.family", { value: family, decider });
    defaults.set("model.config", { value: {}, decider });
    for (const [key, value] of Object.entries(modelConfigDefaults(family, preset))) {
      defaults.set(`model.config.${key}`, { value, decider });
    }
  }
  return defaults;
}

/**
 * Returns the family of the model that a recipe trains from scratch and the preset it names.
 * Undefined where the model exists already, or the recipe does not say which it is.
 */
export function modelFromScratch(
  root: SourceNode,
): { family: ModelFamily; preset: ModelPresetName | undefined; decider: Decider } | undefined {
  const isThere = (key: string) => findNode(root, ["model", key]).exact;
  if (isThere("name_or_path")) return undefined;
  if (isThere("preset")) {
    const preset = writtenWord(root, ["model", "preset"], modelPresetNames);
    if (preset === undefined) return undefined;
    return { family: modelPresets[preset].family, preset, decider: "model.preset" };
  }
  if (!isThere("config")) return undefined;
  if (!isThere("family")) {
    return { family: DEFAULT_FAMILY, preset: undefined, decider: "model.config" };
  }
  const family = writtenWord(root, ["model", "family"], modelFamilyNames);
  return family && { family, preset: undefined, decider: "model.family" };
}

function writtenWord<Word extends string>(
  root: SourceNode,
  path: KeyPath,
  words: readonly Word[],
): Word | undefined {
  const { node, exact } = findNode(root, path);
  return exact && node.type === "scalar" ? words.find((word) => word === node.value) : undefined;
}
