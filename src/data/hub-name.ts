/** @file Which names in a recipe are those of the Hugging Face hub. */
import { statSync } from "node:fs";
import { resolve } from "node:path";
import { bareNames } from "./known-datasets.js";

/** `owner/name`: one slash, and what the hub allows in a name. */
const HUB_ID = /^[A-Za-z0-9][\w.-]*\/[A-Za-z0-9][\w.-]*$/;

/**
 * Whether a name that is no file here is a repository of the hub: `owner/name`, unless the owner
 * is a folder beside the recipe, whose file is then missing; or one of the bare names that the
 * hub still knows.
 */
export function isHubName(name: string, baseDirectory: string): boolean {
  if (Object.hasOwn(bareNames, name)) return true;
  if (!HUB_ID.test(name) || name.includes("..")) return false;
  const owner = resolve(baseDirectory, name.slice(0, name.indexOf("/")));
  return statSync(owner, { throwIfNoEntry: false })?.isDirectory() !== true;
}

/** Returns the `owner/name` of a name on the hub. */
export function hubName(name: string): string {
  return Object.hasOwn(bareNames, name) ? bareNames[name]! : name;
}
