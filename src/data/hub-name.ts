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

/** Returns how to write what looks like a name on the hub, or like options. */
export function hubHint(name: string): string[] {
  const match =
    /^(?:(?:https?|hf):\/\/)?(?:huggingface\.co\/|hf\.co\/)?(?:datasets\/|models\/)?([\w.-]+\/[\w.-]+?)(?:(?:@|\/tree\/)([\w./-]+))?\/?$/.exec(
      name,
    );
  if (match !== null && match[1] !== name) {
    const revision = match[2] === undefined ? "" : `, with revision ${match[2]}`;
    return [`on the hub it is called "${match[1]}"${revision}`];
  }
  return /[[\]]/.test(name) ? ["options end the name: name[train:1000,test:100]"] : [];
}

/** Returns the `owner/name` of a name on the hub. */
export function hubName(name: string): string {
  return Object.hasOwn(bareNames, name) ? bareNames[name]! : name;
}
