/** @file Where the values of a recipe are, and who decided them. */
import { dirname, resolve } from "node:path";
import type { Writer } from "./check-inputs.js";
import type { DependentDefaults } from "./dependent-defaults.js";
import { findNode, isThere, splitPath, usedAs } from "./source-tree.js";
import type { MapNode, Position, SourceNode } from "./source-tree.js";

/**
 * `file`, `override` and `environment` wrote the value; an edition or preset is named in one of
 * them.
 */
export type ValueOrigin = "file" | "override" | "environment" | "edition" | "preset" | "default";

/** Returns where the values of a tree are, and who decided them. */
export function placesIn(root: MapNode, dependent: DependentDefaults, directory: string) {
  const isWritten = (keyPath: string) => isThere(root, splitPath(keyPath));
  /** The edition or preset that decides a value, if one does. */
  const namedDecider = (keyPath: string) => {
    const decider = isWritten(keyPath) ? undefined : dependent.get(keyPath)?.decider;
    return decider === "edition" || decider === "model.preset" ? decider : undefined;
  };
  const positionOf = (keyPath: string) => valuePosition(root, namedDecider(keyPath) ?? keyPath);
  return {
    isWritten,
    positionOf,
    writerOf: (keyPath: string): Writer => {
      const profile = findNode(root, splitPath(keyPath)).entry?.profile;
      return { at: positionOf(keyPath), ...(profile !== undefined && { profile }) };
    },
    /** Says where a variable stood for the value, in a line. */
    variableOf: (keyPath: string): string[] => usedAs(findNode(root, splitPath(keyPath))),
    origin: (keyPath: string): ValueOrigin => {
      const { node, exact } = findNode(root, splitPath(keyPath));
      if (exact) return node.via?.kind === "environment" ? "environment" : node.at.origin.kind;
      const decider = namedDecider(keyPath);
      if (decider === undefined) return "default";
      return decider === "edition" ? "edition" : "preset";
    },
    directoryOf: (keyPath: string): string => {
      const { origin } = positionOf(keyPath);
      return origin.kind === "file" ? dirname(resolve(origin.label)) : directory;
    },
  };
}

/** The position of a scalar or list is where it begins; of a section, where its key is. */
function valuePosition(root: SourceNode, keyPath: string): Position {
  const { keyAt, node } = findNode(root, splitPath(keyPath));
  if (node.type === "map") return keyAt ?? { ...node.at, length: 1 };
  return node.at;
}
