/**
 * @file The canonical identity of a stage: what it computes and from what, never where or when.
 */
import { createHash } from "node:crypto";
import { basename, isAbsolute } from "node:path";
import { isDeepFrozen } from "../base/frozen.js";
import { canonicalEntries, canonicalJson, type JsonObject } from "../base/json.js";
import { codeVersions } from "./code-version.js";
import type { StageKind } from "./stage.js";

/** Raised when the form of what is hashed changes. */
const KEY_SCHEMA = 1;

/**
 * Parameters that a stage needs but that reach neither its artifact nor its metrics: when to save
 * does not change what is computed. Changing them must not repeat a training.
 */
const WITHOUT_EFFECT: ReadonlySet<string> = new Set(["train.save_steps", "train.save_total_limit"]);

export interface StageIdentity {
  kind: StageKind;
  params: JsonObject;
  /** Input name to the fingerprint of the stage that makes it. */
  inputs: Readonly<Record<string, string>>;
}

/**
 * Returns the fingerprint of a stage, sha256 in hex.
 * @throws TypeError when a parameter has no canonical JSON text
 */
export function fingerprint({ kind, params, inputs }: StageIdentity): string {
  // Canonical JSON of all that decides the output, its keys in order.
  const identity =
    `{"codeVersion":${codeVersions[kind]},"inputs":${canonicalJson(inputs)},` +
    `"keySchema":${KEY_SCHEMA},"kind":"${kind}","params":${effectiveText(params, "", "")}}`;
  return createHash("sha256").update(identity).digest("hex");
}

/** Whether a parameter (`train.learning_rate`) is part of the identity. */
export function hasEffect(paramPath: string): boolean {
  return !WITHOUT_EFFECT.has(paramPath);
}

/** Texts of sections of recipes, which trials of a sweep share: by value, then by path. */
const texts = new WeakMap<object, Map<string, string>>();

/** The canonical JSON text of a parameter, of what in it has an effect. */
function effectiveText(value: unknown, key: string, path: string): string {
  // A source may be named by an absolute path: where it is says nothing about what it is.
  if (key === "name" && typeof value === "string" && isAbsolute(value)) {
    return canonicalJson(basename(value));
  }
  if (typeof value !== "object" || value === null) return canonicalJson(value, `$.${path}`);
  const known = texts.get(value)?.get(path);
  if (known !== undefined) return known;
  const text = Array.isArray(value)
    ? `[${value.map((item) => effectiveText(item, key, path)).join(",")}]`
    : objectText(value, path);
  if (isDeepFrozen(value)) {
    const byPath = texts.get(value) ?? new Map<string, string>();
    texts.set(value, byPath.set(path, text));
  }
  return text;
}

function objectText(value: object, path: string): string {
  const fields: string[] = [];
  for (const [key, item] of canonicalEntries(value, `$.${path}`)) {
    const itemPath = path === "" ? key : `${path}.${key}`;
    if (!hasEffect(itemPath)) continue;
    fields.push(`${JSON.stringify(key)}:${effectiveText(item, key, itemPath)}`);
  }
  return `{${fields.join(",")}}`;
}
